/**
 * What every op of the graph has in common: its signature, which is that of its header in
 * native/ops (signatures.ts, generated), the shape rule that follows from it, its gradient rule,
 * its FLOPs and its bytes.
 * How one becomes a node: `apply`. All ops by name: registry.ts.
 */
import { FusedLoraError } from '../../base/errors';
import {
  type Attributes,
  countOf,
  type Dim,
  type Graph,
  type Node,
  resolveDim,
  type Sizes,
  type Value,
  type ValueDType,
  type ValueType,
} from '../value';
import { type OpName, type Signature, signatures } from './signatures';

/** One op on its operands, made or about to be made. */
export type OpCall = Readonly<Pick<Node, 'inputs' | 'outputs' | 'attributes' | 'path'>>;

export interface Operand {
  name: string;
  dtype: ValueDType;
  /**
   * Numbers, S+1, numeric attributes (numHeads), or names
   * that stand for the same dimension wherever they occur.
   */
  dims: readonly string[];
  optional: boolean;
  /** Added to (parameter gradients) where others are overwritten. */
  accumulated: boolean;
}

/**
 * forward: used by models. loss: where differentiation starts. backward: made by gradient rules,
 * has none itself. optimizer: run by a program's `apply`, part of no graph.
 */
export type OpRole = 'forward' | 'loss' | 'backward' | 'optimizer';

export type GradientTarget = Value | undefined | readonly (Value | undefined)[];

/** What a gradient rule is given, for one node. */
export interface GradientContext {
  /** Gradient of output 0; a loss has none, its backward op starts the chain. */
  readonly dy: Value;
  /** Whether any of these is trained or leads to something that is. */
  needs(...operands: (Value | undefined)[]): boolean;
  /** The node's output at this position, added to the forward pass when it is asked for. */
  keep(output: number): Value;
  /**
   * Adds a backward node whose outputs are the gradients of `targets` (a list: the same gradient
   * for each of them). Those not needed are left out, and the node if none is.
   */
  emit(
    op: string,
    inputs: readonly (Value | undefined)[],
    targets: readonly GradientTarget[],
    attributes?: Attributes,
  ): void;
  /** Adds a backward node for a value on the way; gives its result. */
  compute(op: string, inputs: readonly (Value | undefined)[], attributes?: Attributes): Value;
  /** Says that `gradient` is (a part of) the gradient of `target`. */
  pass(target: Value | undefined, gradient: Value): void;
}

export type GradientRule = (node: OpCall, back: GradientContext) => void;

/** Least and most of a dimension; of an attribute, the least and the first that is too much. */
export interface Limit {
  name: string;
  low: number;
  high: number;
}

/** What an op's file says of it. */
export interface OpRules {
  readonly role: OpRole;
  /** What the signature can not say; throws. */
  check?(this: OpSpec, call: OpCall): void;
  /** Present for forward and loss ops. */
  readonly gradient?: GradientRule;
  /**
   * A multiply-add counts 2; an elementwise function counts its additions, products and divisions,
   * and 1 for each exp, tanh, erf or square root.
   */
  readonly flops: (call: OpCall, sizes: Sizes) => number;
  /**
   * Read and written in fp32, each operand once (accumulated
   * ones twice); operands read in part count that part.
   */
  readonly bytes: (call: OpCall, sizes: Sizes) => number;
}

export interface OpSpec extends OpRules {
  readonly name: OpName;
  readonly inputs: readonly Operand[];
  readonly outputs: readonly Operand[];
  readonly attributes: readonly string[];
  readonly limits: readonly Limit[];
}

export interface OpDefinition extends OpSpec {
  /**
   * Types of all outputs, optional ones too. Outputs already in the call fix what inputs do not
   * tell. Throws INVALID_SHAPE with the module path, the operand, its shape and the one expected.
   */
  readonly infer: (call: OpCall) => ValueType[];
}

/**
 * Operands from text in the form of native/ops/signature.h:
 * `x [R, K], ids [T] i32 < V, b? [N], dW [N, K] acc`.
 */
export function operands(text: string): Operand[] {
  return [...text.matchAll(/(\w+)(\?)? \[([^\]]*)\]( i32)?( acc)?/g)].map(([, name, optional, dims, i32, acc]) => ({
    name: name as string,
    dtype: i32 ? 'i32' : 'float',
    dims: (dims as string).split(', '),
    optional: optional !== undefined,
    accumulated: acc !== undefined,
  }));
}

function limitsOf(text: string): Limit[] {
  return [...text.matchAll(/(\w+) in \[(-?\d+), (-?\d+)[\])]/g)].map(([, name, low, high]) => ({
    name: name as string,
    low: Number(low),
    high: Number(high),
  }));
}

/** An op from its native signature and its rules. */
export function defineOp(name: OpName, rules: OpRules): OpDefinition {
  const { inputs, outputs, attributes = '', limits = '' }: Signature = signatures[name];
  const spec: OpSpec = {
    ...rules,
    name,
    inputs: operands(inputs),
    outputs: operands(outputs),
    attributes: [...attributes.matchAll(/(\w+)[^,]*/g)].map(([, attribute]) => attribute as string),
    limits: limitsOf(limits),
  };
  return { ...spec, infer: (call) => infer(spec, call) };
}

/** The most that a dimension of an op may be: `mostOf('loraLinear', 'rank')`. */
export function mostOf(op: OpName, dimension: string): number {
  const { limits = '' }: Signature = signatures[op];
  const limit = limitsOf(limits).find(({ name }) => name === dimension);
  if (!limit) throw new FusedLoraError('INTERNAL', `${op} has no limit of ${dimension}`);
  return limit.high;
}

/** `path: op`, the place that errors name. */
export function placeOf(op: OpSpec, call: OpCall): string {
  return call.path ? `${call.path}: ${op.name}` : op.name;
}

function infer(op: OpSpec, call: OpCall): ValueType[] {
  const known = new Map<string, Dim>();
  const resolve = (dim: string): Dim | undefined => {
    if (dim === 'S+1') return dim;
    if (/^\d+$/.test(dim)) return Number(dim);
    const attribute = call.attributes[dim];
    return typeof attribute === 'number' ? attribute : known.get(dim);
  };
  const match = (operand: Operand, value: Value) => {
    const fits =
      value.dtype === operand.dtype &&
      value.shape.length === operand.dims.length &&
      operand.dims.every((dim, i) => (resolve(dim) ?? value.shape[i]) === value.shape[i]);
    if (!fits) {
      const expected = operand.dims.map((dim) => resolve(dim) ?? dim).join(', ');
      throw new FusedLoraError(
        'INVALID_SHAPE',
        `${placeOf(op, call)}: operand ${operand.name} (${value.name}) is ${value.dtype} [${value.shape.join(', ')}], ` +
          `expected ${operand.dtype} [${expected}]; check the shapes of this module's parameters and inputs`,
      );
    }
    operand.dims.forEach((dim, i) => {
      if (resolve(dim) === undefined) known.set(dim, value.shape[i] as Dim);
    });
  };
  const { inputs } = op;
  if (call.inputs.length > inputs.length || call.outputs.length > op.outputs.length) {
    throw new FusedLoraError('INTERNAL', `${placeOf(op, call)}: got more operands than it takes`);
  }
  inputs.forEach((operand, i) => {
    const value = call.inputs[i];
    if (value) match(operand, value);
    else if (!operand.optional) {
      throw new FusedLoraError('INVALID_ARGUMENT', `${placeOf(op, call)}: operand ${operand.name} is missing`);
    }
  });
  for (const name of Object.keys(call.attributes)) {
    if (!op.attributes.includes(name)) {
      throw new FusedLoraError('INTERNAL', `${placeOf(op, call)}: has no attribute '${name}'`);
    }
  }
  for (const { name, low, high } of op.limits) {
    const isAttribute = op.attributes.includes(name);
    const found = isAttribute ? call.attributes[name] : known.get(name);
    if (typeof found !== 'number' || (found >= low && (isAttribute ? found < high : found <= high))) continue;
    const range = isAttribute ? `[${low}, ${high})` : `${low}..${high}`;
    throw new FusedLoraError('INVALID_ARGUMENT', `${placeOf(op, call)}: ${name} ${found} is not in ${range}`);
  }
  op.check?.(call);
  op.outputs.forEach((operand, i) => {
    const value = call.outputs[i];
    if (value) match(operand, value);
  });
  return op.outputs.map((operand, i) => {
    const given = call.outputs[i];
    const shape = operand.dims.map((dim, d) => resolve(dim) ?? given?.shape[d]);
    if (shape.includes(undefined)) {
      // Only an output that is not asked for may stay unknown.
      return { dtype: operand.dtype, shape: [] };
    }
    return { dtype: operand.dtype, shape: shape as Dim[] };
  });
}

export interface ApplyOptions {
  attributes?: Attributes;
  phase?: Node['phase'];
  path?: string;
  /**
   * Outputs by position: a value to write, 'new' to make one,
   * undefined to leave it out. Required outputs by default.
   */
  outputs?: readonly (Value | 'new' | undefined)[];
  /** What the new outputs are called in `path:name`; by default as in the contract. */
  names?: readonly string[];
}

/** Checks operands and adds a node. All operands must belong to `graph`. */
export function apply(
  graph: Graph,
  op: OpDefinition,
  inputs: readonly (Value | undefined)[],
  options: ApplyOptions = {},
): Node {
  const { attributes = {}, phase = 'forward', path = graph.path } = options;
  const wanted = options.outputs ?? op.outputs.map((output) => (output.optional ? undefined : 'new'));
  const given = wanted.map((output) => (output === 'new' ? undefined : output));
  for (const value of [...inputs, ...given]) {
    if (value && value.graph !== graph) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `${placeOf(op, { inputs: [], outputs: [], attributes, path })}: ${value.name} belongs to another graph; ` +
          'a module must use only values that it was given in the same forward()',
      );
    }
  }
  const types = op.infer({ inputs: [...inputs], outputs: given, attributes, path });
  const outputs = wanted.map((output, i) => {
    if (output !== 'new') return output;
    const { dtype, shape } = types[i] as ValueType;
    return graph.value('computed', dtype, shape, `${path || op.name}:${options.names?.[i] ?? op.outputs[i]?.name}`);
  });
  return graph.addNode({ op: op.name, inputs: [...inputs], outputs, attributes, phase, path });
}

/** `apply` for ops whose result is their first output. */
export function applied(
  graph: Graph,
  op: OpDefinition,
  inputs: readonly (Value | undefined)[],
  attributes: Attributes = {},
): Value {
  return apply(graph, op, inputs, { attributes }).outputs[0] as Value;
}

/** The numbers that a value's dimensions stand for; [] when it is absent. */
export function dimsOf(value: Value | undefined, sizes: Sizes): number[] {
  return value ? value.shape.map((dim) => resolveDim(dim, sizes)) : [];
}

/** Elements of a value; 0 when it is absent. */
export function elements(value: Value | undefined, sizes: Sizes): number {
  return value ? countOf(value, sizes) : 0;
}

/** Both dtypes have four bytes (f64 exists on the reference backend alone). */
const BYTES = 4;

export function bytesOf(value: Value | undefined, sizes: Sizes): number {
  return BYTES * elements(value, sizes);
}

/** Bytes of an op that reads all of its inputs and writes all of its outputs once. */
export function touchedBytes(call: OpCall, sizes: Sizes): number {
  const read = call.inputs.reduce((sum, value) => sum + bytesOf(value, sizes), 0);
  return call.outputs.reduce((sum, value) => sum + bytesOf(value, sizes) * (value?.kind === 'gradient' ? 2 : 1), read);
}

/** A numeric attribute, or its default. */
export function numberOf(call: OpCall, name: string, otherwise = 0): number {
  const value = call.attributes[name];
  return typeof value === 'number' ? value : otherwise;
}

/** `picked` of a call's attributes, those that are there. */
export function pick(call: OpCall, ...names: string[]): Attributes {
  return Object.fromEntries(Object.entries(call.attributes).filter(([name]) => names.includes(name)));
}
