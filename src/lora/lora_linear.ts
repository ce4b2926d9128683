/**
 * The layer of LoRA: a Linear with its adapters, in the graph and merged into its weight. Where it
 * is put: inject.ts; what changes it in a whole model: merge.ts.
 */
import { FusedLoraError } from '../base/errors';
import { add, dropout, linear, loraLinear, scale, segmentedLoraLinear } from '../graph/ops';
import { isSource, type Parameter, type ParameterSource } from '../graph/parameter';
import type { Value } from '../graph/value';
import { type Initializer, initializedParameter, Linear, Module, ModuleDict } from '../nn';
import { slotsIn } from './graph_slots';

/** One adapter of one Linear. */
export interface AdapterSettings {
  rank: number;
  /** Factor s of the adapter: alpha / r or alpha / √r. */
  scaling: number;
  /** Dropout on the adapter's input. */
  dropout: number;
  /** See LoraConfig. */
  initLoraWeights: boolean | 'gaussian' | 'loftq';
}

/** Initial A and B, as PEFT has them. */
function initializers(inFeatures: number, { rank, initLoraWeights }: AdapterSettings): [Initializer, Initializer] {
  const a: Initializer =
    initLoraWeights === 'gaussian'
      ? { kind: 'normal', std: 1 / rank }
      : { kind: 'uniform', bound: 1 / Math.sqrt(inFeatures) };
  const b: Initializer =
    initLoraWeights === false ? { kind: 'uniform', bound: 1 / Math.sqrt(rank) } : { kind: 'constant', value: 0 };
  return [a, b];
}

/**
 * A Linear with adapters, in its place in the tree:
 *
 *     y = x Wᵀ + b + Σ s · dropout(x) Aᵀ Bᵀ   over the active adapters
 *
 * W and b are those of `base_layer`, frozen. Names of children are PEFT's:
 * `lora_A.<adapter>.weight` [r, in], `lora_B.<adapter>.weight` [out, r]. The first active adapter
 * runs in one fused op with the base product. In a graph for rows of several adapters (slots.ts)
 * each row has its own one.
 */
export class LoraLinear extends Module {
  readonly base_layer: Linear;
  readonly lora_A = new ModuleDict<Linear>();
  readonly lora_B = new ModuleDict<Linear>();
  /** By name, in the order in which they were added. */
  readonly adapters = new Map<string, AdapterSettings>();
  /** Names of the adapters that are summed. */
  active: readonly string[] = [];
  /** Names of the adapters that the base weight holds now. */
  merged: readonly string[] = [];
  /** The base weight before any merge. */
  private unmergedWeight: Float32Array | ParameterSource | undefined;

  constructor(base: Linear) {
    super();
    this.base_layer = base;
  }

  get inFeatures(): number {
    return this.base_layer.inFeatures;
  }

  get outFeatures(): number {
    return this.base_layer.outFeatures;
  }

  /** Adds an adapter with initial values; the function `addAdapter` does it for a whole model. */
  addAdapter(name: string, settings: AdapterSettings): void {
    const { inFeatures, outFeatures } = this;
    const { rank } = settings;
    const [a, b] = initializers(inFeatures, settings);
    this.lora_A.set(
      name,
      new Linear(inFeatures, rank, { bias: false, weight: initializedParameter([rank, inFeatures], a) }),
    );
    this.lora_B.set(
      name,
      new Linear(rank, outFeatures, { bias: false, weight: initializedParameter([outFeatures, rank], b) }),
    );
    this.adapters.set(name, settings);
  }

  /** Takes an adapter out. */
  deleteAdapter(name: string): void {
    this.lora_A.delete(name);
    this.lora_B.delete(name);
    this.adapters.delete(name);
    this.active = this.active.filter((active) => active !== name);
  }

  /** Sets an adapter's factor; `setScale` does it for a whole model. */
  setScaling(name: string, scaling: number): void {
    const { settings } = this.adapter(name);
    this.adapters.set(name, { ...settings, scaling });
  }

  /** Gives an adapter another name, in its place among the others. */
  renameAdapter(from: string, to: string): void {
    if (!this.adapters.has(from)) return;
    const renamed = (name: string) => (name === from ? to : name);
    const adapters = [...this.adapters];
    this.adapters.clear();
    for (const [name, settings] of adapters) this.adapters.set(renamed(name), settings);
    this.lora_A.rename(from, to);
    this.lora_B.rename(from, to);
    this.active = this.active.map(renamed);
    this.merged = this.merged.map(renamed);
  }

  /** A [r, in], B [out, r] and settings of an adapter. */
  adapter(name: string): { A: Parameter; B: Parameter; settings: AdapterSettings } {
    const [A, B, settings] = [this.lora_A.get(name), this.lora_B.get(name), this.adapters.get(name)];
    if (A && B && settings) return { A: A.weight, B: B.weight, settings };
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `${this.path}: has no adapter "${name}"; it has: ${[...this.adapters.keys()].join(', ') || 'none'}`,
    );
  }

  /**
   * @param x [R, in]
   * @param tokenIndex [R] i32: the token of each row, where rows are a selection
   * @returns [R, out]
   */
  forward(x: Value, tokenIndex?: Value): Value {
    const { weight, bias } = this.base_layer;
    const slots = slotsIn(x.graph, this);
    if (slots) return segmentedLoraLinear(x, weight, bias, slots);
    const [first, ...others] = this.merged.length > 0 ? [] : this.active;
    if (first === undefined) return linear(x, weight, bias);
    const { A, B, settings } = this.adapter(first);
    const p = (rate: number) => (this.training ? rate : 0);
    const options = { scaling: settings.scaling, dropout: p(settings.dropout), tokenIndex };
    let y = loraLinear(x, weight, bias, A, B, options);
    for (const name of others) {
      const { A, B, settings } = this.adapter(name);
      const u = scale(linear(dropout(x, p(settings.dropout), tokenIndex), A), settings.scaling);
      y = add(y, linear(u, B));
    }
    return y;
  }

  /** Adds adapters to the base weight: W = W₀ + Σ s B A, summed in float64 and rounded once. */
  merge(names: readonly string[]): void {
    const merged = [...new Set([...this.merged, ...names])];
    if (merged.length === this.merged.length) return;
    const { weight } = this.base_layer;
    this.unmergedWeight ??= weight.snapshot();
    const original = this.unmergedWeight;
    const start = isSource(original) ? original.read() : original;
    const { inFeatures } = this;
    const row = new Float64Array(inFeatures);
    const values = new Float32Array(start.length);
    const factors = merged.map((name) => {
      const { A, B, settings } = this.adapter(name);
      return { A: A.data(), B: B.data(), ...settings };
    });
    for (let n = 0; n < this.outFeatures; n++) {
      const offset = n * inFeatures;
      for (let k = 0; k < inFeatures; k++) row[k] = start[offset + k]!;
      for (const { A, B, rank, scaling } of factors) {
        for (let j = 0; j < rank; j++) {
          const factor = scaling * B[n * rank + j]!;
          for (let k = 0; k < inFeatures; k++) row[k]! += factor * A[j * inFeatures + k]!;
        }
      }
      values.set(row, offset);
    }
    if (!values.every(Number.isFinite)) {
      if (this.merged.length === 0) this.unmergedWeight = undefined;
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `merge: the merged weight of "${this.path}" would hold NaN or infinite values: the base holds such, or the sum is above what ` +
          'float32 can hold. Nothing was changed.',
      );
    }
    weight.setData(values);
    this.merged = merged;
  }

  /** Gives the base weight back as it was before any merge, bit for bit. */
  unmerge(): void {
    if (this.unmergedWeight === undefined) return;
    if (isSource(this.unmergedWeight)) this.base_layer.weight.setSource(this.unmergedWeight);
    else this.base_layer.weight.setData(this.unmergedWeight);
    this.unmergedWeight = undefined;
    this.merged = [];
  }

  override extraRepr(): string {
    return [...this.adapters].map(([name, { rank, scaling }]) => `${name}: r=${rank}, scaling=${scaling}`).join('; ');
  }
}
