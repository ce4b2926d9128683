/**
 * Planning: rewrite, differentiate, drop what nobody reads, and say what it costs before anything
 * runs.
 * The passes are in src/graph/rewrite; a plan becomes native, and runs, in program.ts.
 */
import { type NativeInstructionSpec, type NativeProgramSpec, type NativeValueSpec, native } from '../native';
import type { HeldWeights } from './base_weights';
import { differentiate } from './differentiate';
import { bytesOf } from './ops/op';
import { opByName } from './ops/registry';
import type { BackendName, ComputeType, Parameter } from './parameter';
import type { Precision } from './precision';
import { DEAD_TOKEN_PASSES, FUSED_PASSES, rewrite, SEPARATE_PASSES } from './rewrite';
import { withBaseWeights, withEmbeddingWeights } from './rewrite/base_weights';
import { fuseGradients } from './rewrite/fuse_gradients';
import { withPrecision } from './rewrite/precision';
import { describeNode, type Graph, type Node, type Sizes, type Value } from './value';

/** Of {@link plan}. */
export interface PlanOptions extends HeldWeights {
  /**
   * One op for LoRA products, epilogues and LayerNorm with
   * its residual; false: separate ops. Default true.
   */
  fused?: boolean;
  /** Of products. Default fp32. */
  precision?: Precision;
  /** Whether to add the backward pass. */
  train: boolean;
  /** Computes and keeps every value of the graph: for `inspect`. Default false. */
  keepAll?: boolean;
}

/** Instructions from the one that writes a value to the last that reads it. */
export interface Lifetime {
  value: Value;
  first: number;
  last: number;
}

/** Of a weight in NF4: 4 bits, 8 bits of scale for 64 of them, 32 for 256 scales. */
const NF4_BYTES = 1 / 2 + 1 / 64 + 4 / (64 * 256);

/**
 * Plans a traced graph, which stays as it is. Throws
 * INVALID_ARGUMENT when there is nothing to train.
 */
export function plan(graph: Graph, options: PlanOptions): Plan {
  const { fused = true, precision = 'fp32', train, keepAll = false } = options;
  const { baseWeights = 'fp32', embeddingWeights = 'fp32' } = options;
  // Whoever looks at every value wants those of all tokens.
  const deadTokens = keepAll ? [] : DEAD_TOKEN_PASSES;
  const fusion = fused ? FUSED_PASSES : SEPARATE_PASSES;
  const forms = [
    withPrecision(precision),
    withBaseWeights(baseWeights, train),
    withEmbeddingWeights(embeddingWeights, train),
  ];
  const rewritten = rewrite(graph, [...deadTokens, ...fusion, ...forms]);
  if (train) {
    differentiate(rewritten);
    if (fused) fuseGradients(rewritten);
  }
  if (!keepAll) dropUnread(rewritten);
  return new Plan(rewritten, keepAll);
}

/**
 * Removes nodes, and optional outputs, that lead to no
 * output of the graph and no parameter gradient.
 */
function dropUnread(graph: Graph): void {
  const read = new Set(graph.outputs.values());
  const alive = (value: Value | undefined) => value !== undefined && (value.kind === 'gradient' || read.has(value));
  const kept: Node[] = [];
  for (const node of graph.nodes.splice(0).reverse()) {
    if (!node.outputs.some(alive)) continue;
    const operands = opByName(node.op).outputs;
    node.outputs = node.outputs.map((value, i) => (alive(value) || !operands[i]?.optional ? value : undefined));
    for (const value of node.inputs) if (value) read.add(value);
    kept.push(node);
  }
  graph.nodes.push(...kept.reverse());
}

/** What runs, in which order, with which memory: `plan.toString(sizes)` prints it with its cost. */
export class Plan {
  /** In the order in which they run: forward, then backward. */
  readonly instructions: readonly Node[];
  /** Instructions before this index are the forward pass. */
  readonly forwardCount: number;
  /** Everything that instructions read or write: inputs, parameters, gradients, then results. */
  readonly values: readonly Value[];
  /** What the batch must bring. */
  readonly inputs: readonly Value[];
  /** In index order of the native program. */
  readonly parameters: readonly Parameter[];
  /** Those with a gradient, in the order of `parameters`. */
  readonly trained: readonly Parameter[];
  /** Results that the caller reads, by name, as indices of `values`. */
  readonly outputIndices: ReadonlyMap<string, number>;
  private readonly index: ReadonlyMap<Value, number>;

  /** @internal use `plan` */
  constructor(
    graph: Graph,
    readonly keepAll: boolean,
  ) {
    this.instructions = graph.nodes;
    const backward = graph.nodes.findIndex((node) => node.phase === 'backward');
    this.forwardCount = backward < 0 ? graph.nodes.length : backward;
    const all = new Set<Value>();
    for (const node of graph.nodes) for (const value of [...node.inputs, ...node.outputs]) if (value) all.add(value);
    for (const value of graph.outputs.values()) all.add(value);
    const ofKind = (kind: Value['kind']) => [...all].filter((value) => value.kind === kind);
    this.inputs = ofKind('input');
    const parameters = ofKind('parameter');
    this.parameters = parameters.map((value) => value.parameter as Parameter);
    const gradients = ofKind('gradient');
    const order = (value: Value) => this.parameters.indexOf(value.parameter as Parameter);
    gradients.sort((a, b) => order(a) - order(b));
    this.trained = gradients.map((value) => value.parameter as Parameter);
    this.values = [...this.inputs, ...parameters, ...gradients, ...ofKind('computed')];
    this.index = new Map(this.values.map((value, i) => [value, i]));
    this.outputIndices = new Map([...graph.outputs].map(([name, value]) => [name, this.indexOf(value)]));
  }

  /** Index of a value of this plan in `values`. */
  indexOf(value: Value): number {
    return this.index.get(value) ?? -1;
  }

  /**
   * Arithmetic of a batch of these sizes; a multiply-add
   * counts 2. Attention assumes sequences of equal length.
   */
  flops(sizes: Sizes): { forward: number; backward: number } {
    return this.total((node) => opByName(node.op).flops(node, sizes));
  }

  /** Bytes read and written by a batch of these sizes when no op finds its operands in a cache. */
  bytes(sizes: Sizes): { forward: number; backward: number } {
    return this.total((node) => opByName(node.op).bytes(node, sizes));
  }

  /** Bytes (fp32) that the forward pass leaves for the backward pass. */
  savedBytes(sizes: Sizes): number {
    const readBackward = new Set(this.instructions.slice(this.forwardCount).flatMap((node) => node.inputs));
    return this.lifetimes()
      .filter(({ first, value }) => first >= 0 && first < this.forwardCount && readBackward.has(value))
      .reduce((sum, { value }) => sum + bytesOf(value, sizes), 0);
  }

  /**
   * Bytes (fp32) that hold the batch and all results, for a batch of these sizes: what is kept
   * after the step, and the arena of what is not. Needs the addon.
   */
  peakBytes(sizes: Sizes): number {
    const end = this.instructions.length;
    const arenaOf = (lives: readonly Lifetime[]) =>
      native().arenaBytes(
        lives.map(({ value }) => bytesOf(value, sizes)),
        lives.map(({ first }) => first),
        lives.map(({ last }) => last),
      );
    const lives = this.lifetimes();
    return arenaOf(lives.filter(({ last }) => last === end)) + arenaOf(lives.filter(({ last }) => last !== end));
  }

  /** Bytes of all parameters in fp32. */
  get parameterBytes(): number {
    return 4 * this.parameters.reduce((sum, parameter) => sum + parameter.count, 0);
  }

  /**
   * Bytes of all parameters as they are held: in int8 a byte a weight for each direction that it is
   * multiplied in, in NF4 half a byte and the scales, word embeddings in int8 a byte and a scale a
   * row, all others in fp32, packed copies left out.
   */
  get weightBytes(): number {
    const held = new Map<Parameter, Map<Node['phase'], number>>();
    for (const node of this.instructions) {
      const form = node.attributes['baseWeights'];
      const at = opByName(node.op).inputs.findIndex(({ name }) => name === 'W' || name === 'table_0');
      const weight = form === undefined ? undefined : node.inputs[at]?.parameter;
      if (!weight) continue;
      // One copy in NF4 serves both directions.
      const one = node.op === 'embeddingSum' ? 1 + 4 / (weight.shape[1] as number) : 1;
      const [copy, bytes] = form === 'nf4' ? (['forward', NF4_BYTES] as const) : ([node.phase, one] as const);
      held.set(weight, (held.get(weight) ?? new Map()).set(copy, bytes));
    }
    const bytesOfEach = (each: Parameter) => [...(held.get(each)?.values() ?? [4])].reduce((sum, one) => sum + one);
    return this.parameters.reduce((sum, each) => sum + Math.ceil(each.count * bytesOfEach(each)), 0);
  }

  /** Bytes of the gradients and the optimizer's two moments, in fp32. */
  get optimizerBytes(): number {
    return 12 * this.trained.reduce((sum, parameter) => sum + parameter.count, 0);
  }

  /**
   * Of everything in the arena, in the order of `values`. Batch inputs are there before the first
   * instruction (-1); outputs, and with `keepAll` all values, stay after the last.
   */
  lifetimes(): Lifetime[] {
    const end = this.instructions.length;
    const lives = new Map<Value, Lifetime>();
    const read = (value: Value | undefined, at: number) => {
      const life = value && lives.get(value);
      if (life) life.last = Math.max(life.last, at);
    };
    for (const value of this.inputs) lives.set(value, { value, first: -1, last: -1 });
    this.instructions.forEach((node, at) => {
      for (const value of node.inputs) read(value, at);
      for (const value of node.outputs) {
        if (value?.kind === 'computed') lives.set(value, { value, first: at, last: at });
      }
    });
    if (this.keepAll) for (const value of this.values) read(value, end);
    for (const index of this.outputIndices.values()) read(this.values[index], end);
    return this.values.map((value) => lives.get(value)).filter((life): life is Lifetime => life !== undefined);
  }

  /**
   * What the native program is built from, all but the
   * parameters, which go in the order of `parameters`. @internal
   */
  toNativeSpec(backend: BackendName, compute: ComputeType): Omit<NativeProgramSpec, 'parameters'> {
    const outputs = new Set(this.outputIndices.values());
    const parameterIndex = new Map(this.parameters.map((parameter, i) => [parameter, i]));
    const values = this.values.map((value, i): NativeValueSpec => {
      const parameter = value.parameter && parameterIndex.get(value.parameter);
      return {
        name: value.name,
        kind: value.kind,
        dtype: value.dtype,
        shape: [...value.shape],
        ...(parameter === undefined ? {} : { parameter }),
        ...(outputs.has(i) ? { output: true } : {}),
      };
    });
    const indices = (list: readonly (Value | undefined)[]) => list.map((value) => (value ? this.indexOf(value) : -1));
    const instructions = this.instructions.map(
      (node): NativeInstructionSpec => ({
        op: node.op,
        inputs: indices(node.inputs),
        outputs: indices(node.outputs),
        attributes: { ...node.attributes },
        path: node.path,
      }),
    );
    return { backend, compute, values, instructions, forwardCount: this.forwardCount, keepAll: this.keepAll };
  }

  /**
   * One line an instruction; with sizes, the totals of a batch too (peak memory needs the addon).
   */
  toString(sizes?: Sizes): string {
    const width = String(this.instructions.length).length;
    const lines = this.instructions.map((node, i) => `${String(i).padStart(width)}  ${describeNode(node)}`);
    const backward = this.instructions.length - this.forwardCount;
    if (backward > 0) lines.splice(this.forwardCount, 0, 'backward:');
    lines.unshift('forward:');
    lines.push(
      `${this.forwardCount} forward and ${backward} backward instructions, ` +
        `${this.parameters.length} parameters of ${megabytes(this.parameterBytes)}, ${this.trained.length} trained`,
    );
    if (sizes) {
      const flops = this.flops(sizes);
      const bytes = this.bytes(sizes);
      lines.push(
        `T = ${sizes.T}, S = ${sizes.S}, M = ${sizes.M}:`,
        `  forward  ${gigaflops(flops.forward)}, ${megabytes(bytes.forward)} touched`,
        `  backward ${gigaflops(flops.backward)}, ${megabytes(bytes.backward)} touched`,
        `  saved for backward ${megabytes(this.savedBytes(sizes))}, peak ${megabytes(this.peakBytes(sizes))}`,
        `  gradients and optimizer ${megabytes(this.optimizerBytes)}`,
      );
    }
    return lines.join('\n');
  }

  private total(cost: (node: Node) => number): { forward: number; backward: number } {
    const sum = (nodes: readonly Node[]) => nodes.reduce((total, node) => total + cost(node), 0);
    return {
      forward: sum(this.instructions.slice(0, this.forwardCount)),
      backward: sum(this.instructions.slice(this.forwardCount)),
    };
  }
}

const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(2)} MB`;
const gigaflops = (flops: number) => `${(flops / 1e9).toFixed(3)} GFLOP`;
