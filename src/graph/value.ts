/**
 * The graph's data: values (tensors with symbolic row counts) and nodes (ops). A graph is plain
 * data: printable, testable, drawable; nothing here computes.
 * Ops add nodes to it (src/graph/ops); modules are traced into it (src/nn/model.ts).
 */
import { FusedLoraError } from '../base/errors';
import type { Parameter } from './parameter';

/**
 * Row counts known only when a batch comes: T tokens, S sequences, M gathered rows (masked-LM
 * positions), and S+1 for cuSeqlens.
 */
export type RowSymbol = 'T' | 'S' | 'S+1' | 'M';
/** A size of a shape: a number, or rows that each batch decides. */
export type Dim = number | RowSymbol;
/** 'float' takes the program's compute type (f32; f64 on the reference backend). */
export type ValueDType = 'float' | 'i32';
/** Rows of a batch: T tokens, S sequences, M masked tokens. */
export interface Sizes {
  T: number;
  S: number;
  M: number;
}

/** What a value holds, and its shape. */
export interface ValueType {
  dtype: ValueDType;
  shape: readonly Dim[];
}

/**
 * input: comes with the batch. parameter: the value of a Parameter. gradient: its gradient, added
 * to by backward ops. computed: the result of a node.
 */
export type ValueKind = 'input' | 'parameter' | 'gradient' | 'computed';

/** A result in a graph: it has a shape and a name, and numbers only when a program runs. */
export class Value implements ValueType {
  /**
   * The module path and what it is there, for people:
   * `roberta.encoder.layer.0.attention.self.query:y`.
   */
  name: string;
  producer: Node | undefined;

  constructor(
    readonly graph: Graph,
    readonly id: number,
    readonly kind: ValueKind,
    readonly dtype: ValueDType,
    readonly shape: readonly Dim[],
    name: string,
    readonly parameter?: Parameter,
  ) {
    this.name = name;
  }

  /**
   * A value has no number while the graph is built, so `if
   * (x > 0)` and `x * 2` are mistakes; text shows its name.
   */
  [Symbol.toPrimitive](hint: string): string {
    if (hint === 'string') return this.name;
    const place = this.graph.path;
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${place ? `${place}: ` : ''}${this.name} is used as a number, but it holds none while the graph is built. A branch can not ` +
        'depend on the data; build values with ops (add, scale, activation, …).',
    );
  }

  /** Size of the last dimension, which is always a number. */
  get features(): number {
    const last = this.shape[this.shape.length - 1];
    if (typeof last !== 'number') {
      throw new FusedLoraError('INVALID_SHAPE', `${this.name}: its last dimension is ${last}, expected features`);
    }
    return last;
  }
}

/** A setting of a node. */
export type AttributeValue = number | string;
/** Settings of a node by name. */
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** One op applied. Absent optional operands are undefined; outputs that nobody asked for too. */
export interface Node {
  op: string;
  inputs: (Value | undefined)[];
  outputs: (Value | undefined)[];
  attributes: Attributes;
  /** Path of the module that made it. */
  path: string;
  phase: 'forward' | 'backward';
}

/** Ops on symbolic sizes, in order; `toString` prints them. */
export class Graph {
  readonly nodes: Node[] = [];
  readonly values: Value[] = [];
  readonly inputs = new Map<string, Value>();
  /** What the caller reads after a run, by name: logits, loss. */
  readonly outputs = new Map<string, Value>();
  private readonly parameterValues = new Map<Parameter, Value>();
  private readonly gradientValues = new Map<Parameter, Value>();
  private readonly scopes: string[] = [];
  private readonly names = new Map<string, number>();
  private sites = 0;

  /** @param training whether dropout is active. */
  constructor(readonly training = false) {}

  get path(): string {
    return this.scopes[this.scopes.length - 1] ?? '';
  }

  /** Runs `body` with `path` as the module path of every node it adds. */
  scope<R>(path: string, body: () => R): R {
    this.scopes.push(path);
    try {
      return body();
    } finally {
      this.scopes.pop();
    }
  }

  /**
   * A number for a dropout mask that no other dropout of this
   * graph has; a function of the order of tracing alone.
   */
  nextSite(): number {
    return this.sites++;
  }

  /** The batch input of this name, made at its first use. The same name must keep its type. */
  input(name: string, dtype: ValueDType, shape: readonly Dim[]): Value {
    const known = this.inputs.get(name);
    if (known) {
      if (known.dtype !== dtype || known.shape.join() !== shape.join()) {
        throw new FusedLoraError(
          'INVALID_SHAPE',
          `batch input '${name}' is used as ${dtype}[${shape}] and as ${known.dtype}[${known.shape}]; give one of them another name`,
        );
      }
      return known;
    }
    const value = this.value('input', dtype, shape, name);
    this.inputs.set(name, value);
    return value;
  }

  /** The value of a parameter; the same Value however often it is used (tied weights). */
  parameter(parameter: Parameter): Value {
    let value = this.parameterValues.get(parameter);
    if (!value) {
      value = this.value('parameter', 'float', parameter.shape, parameter.name, parameter);
      this.parameterValues.set(parameter, value);
    }
    return value;
  }

  /** The gradient of a trainable parameter: one for each, however often it is used. */
  gradient(parameter: Parameter): Value {
    let value = this.gradientValues.get(parameter);
    if (!value) {
      value = this.value('gradient', 'float', parameter.shape, `${parameter.name}:gradient`, parameter);
      this.gradientValues.set(parameter, value);
    }
    return value;
  }

  get parameters(): Parameter[] {
    return [...this.parameterValues.keys()];
  }

  /** Parameters that have a gradient here, in the order of their first gradient. */
  get trained(): Parameter[] {
    return [...this.gradientValues.keys()];
  }

  /**
   * A new value. Computed ones of the same name get `#2`, `#3`, ... so that a name finds one value.
   */
  value(kind: ValueKind, dtype: ValueDType, shape: readonly Dim[], name: string, parameter?: Parameter): Value {
    let unique = name;
    if (kind === 'computed') {
      const count = (this.names.get(name) ?? 0) + 1;
      this.names.set(name, count);
      if (count > 1) unique = `${name}#${count}`;
    }
    const value = new Value(this, this.values.length, kind, dtype, shape, unique, parameter);
    this.values.push(value);
    return value;
  }

  /** Adds a node at the end. `outputs` are values made by `value('computed', ...)` or gradients. */
  addNode(node: Omit<Node, 'path'> & { path?: string }): Node {
    const added: Node = { path: this.path, ...node };
    for (const output of added.outputs) if (output && output.kind === 'computed') output.producer = added;
    this.nodes.push(added);
    return added;
  }

  /** One line a node, as `describeNode` has it. */
  toString(): string {
    return this.nodes.map(describeNode).join('\n');
  }
}

/** `%7 float[T,768] = linear(%3, W, b) {activation: gelu}  # path`; `-` is an operand left out. */
export function describeNode(node: Node): string {
  const show = (v: Value | undefined) =>
    !v ? '-' : v.kind === 'computed' ? `%${v.id}` : v.kind === 'gradient' ? `grad(${v.parameter?.name})` : v.name;
  const left = node.outputs
    .filter((v): v is Value => v !== undefined)
    .map((v) => `${show(v)} ${v.dtype}[${v.shape.join(',')}]`)
    .join(', ');
  const attributes = Object.entries(node.attributes).map(([k, v]) => `${k}: ${v}`);
  return (
    `${left} = ${node.op}(${node.inputs.map(show).join(', ')})` +
    `${attributes.length ? ` {${attributes.join(', ')}}` : ''}${node.path ? `  # ${node.path}` : ''}`
  );
}

/** The number of rows or features that a dimension stands for. */
export function resolveDim(dim: Dim, sizes: Sizes): number {
  return typeof dim === 'number' ? dim : dim === 'S+1' ? sizes.S + 1 : sizes[dim];
}

export function countOf(type: ValueType, sizes: Sizes): number {
  return type.shape.reduce((product: number, dim) => product * resolveDim(dim, sizes), 1);
}
