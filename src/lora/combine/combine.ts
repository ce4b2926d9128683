/**
 * A new adapter out of several: a weighted combination, by PEFT's add_weighted_adapter. What is
 * done to entries is sparse.ts, to singular values low_rank.ts; docs/peft.md has the table of the
 * types, and of where PEFT 0.21.2 differs.
 */
import { FusedLoraError } from '../../base/errors';
import { nearNames } from '../../base/near';
import { Embedding, type Module } from '../../nn';
import { invalidLora, MAX_RANK } from '../config';
import { type AdapterPlan, applyPlan, checkName, checkUnmerged, planAdapter } from '../inject';
import type { LoraLinear } from '../lora_linear';
import { outputsOf } from '../modules_to_save';
import { adapterEntry, loraLinears, savedModules } from '../registry';
import { type Factors, lowRankOf, lowRankOfProduct, multiply } from './low_rank';
import { type SumOptions, sparseSum } from './sparse';

/** What each type does; `whole`: with B A of each adapter rather than with A and B. */
const TYPES = {
  linear: { prune: 'none', ties: false, whole: false },
  cat: { prune: 'none', ties: false, whole: false },
  svd: { prune: 'none', ties: false, whole: true },
  ties: { prune: 'magnitude', ties: true, whole: false },
  ties_svd: { prune: 'magnitude', ties: true, whole: true },
  dare_linear: { prune: 'random', ties: false, whole: false },
  dare_linear_svd: { prune: 'random', ties: false, whole: true },
  dare_ties: { prune: 'random', ties: true, whole: false },
  dare_ties_svd: { prune: 'random', ties: true, whole: true },
  magnitude_prune: { prune: 'magnitude', ties: false, whole: false },
  magnitude_prune_svd: { prune: 'magnitude', ties: false, whole: true },
} as const satisfies Record<CombinationType, { prune: SumOptions['prune']; ties: boolean; whole: boolean }>;

/** How adapters are combined; PEFT's words. */
export type CombinationType =
  | 'linear'
  | 'cat'
  | 'svd'
  | 'ties'
  | 'ties_svd'
  | 'dare_linear'
  | 'dare_linear_svd'
  | 'dare_ties'
  | 'dare_ties_svd'
  | 'magnitude_prune'
  | 'magnitude_prune_svd';

/** An adapter of the model, and how much of it. */
export interface WeightedAdapter {
  adapter: string;
  /** Any number; below 0 takes it away. */
  weight: number;
}

/** Of {@link combineAdapters}. */
export interface CombineOptions {
  /**
   * linear: sums of A and of B, of one rank, which is rough. cat: exact, of the sum of the ranks.
   * svd: the best of a rank. ties, dare_*, magnitude_prune: linear with entries left out; with _svd
   * on whole deltas. Default svd.
   */
  type?: CombinationType;
  /** For svd and *_svd. Default: the largest rank of the adapters, at most min(in, out). */
  rank?: number;
  /** For ties, dare_* and magnitude_prune: the share of entries that is kept, above 0 to 1. */
  density?: number;
  /** For ties: how a sign is elected, by size or by number. Default total. */
  majoritySign?: 'total' | 'frequency';
  /** For dare_*: what is kept is a function of it. Default 0. */
  seed?: number;
  /**
   * The adapter whose head (all of its modulesToSave) the new one gets. Default: the one that has
   * some; needed where several have.
   */
  headOf?: string;
  /** Whether it is trained while it is active. Default false. */
  trainable?: boolean;
}

const refuse = (problem: string) => new FusedLoraError('INVALID_ARGUMENT', `combineAdapters: ${problem}`);

/** What is wrong with the call by itself. */
function checkCall(model: Module, parts: readonly WeightedAdapter[], options: CombineOptions): CombinationType {
  if (!Array.isArray(parts) || parts.length === 0) {
    throw refuse('there is nothing to combine; give a list of { adapter, weight }');
  }
  for (const { adapter, weight } of parts) {
    adapterEntry(model, adapter);
    if (!Number.isFinite(weight)) throw refuse(`the weight of "${adapter}" is ${weight}; it must be a finite number`);
    if (parts.filter((part) => part.adapter === adapter).length > 1) {
      throw refuse(`adapter "${adapter}" is named twice; give the sum of its weights`);
    }
  }
  const { type = 'svd', density, rank, majoritySign, seed } = options;
  if (!Object.hasOwn(TYPES, type)) {
    const [near] = nearNames(type, Object.keys(TYPES), 1);
    throw refuse(
      `type is "${type}"${near ? ` (was ${near} meant?)` : ''}; it must be one of ${Object.keys(TYPES).join(', ')}`,
    );
  }
  const { prune, ties, whole } = TYPES[type];
  const idle = (name: string, of: string) =>
    refuse(`${name} is given, and the type ${type} has none; it is for ${of}. Leave it out.`);
  if (prune === 'none') {
    if (density !== undefined) throw idle('density', 'ties, dare_* and magnitude_prune');
  } else if (!(typeof density === 'number' && density > 0 && density <= 1)) {
    throw refuse(
      `density is ${density}; the type ${type} needs the share of entries that is kept, above 0 and at most 1`,
    );
  }
  if (rank !== undefined) {
    if (!whole) throw idle('rank', 'svd and *_svd');
    if (!(Number.isInteger(rank) && rank >= 1 && rank <= MAX_RANK)) {
      throw refuse(`rank is ${rank}; it must be an integer from 1 to ${MAX_RANK}`);
    }
  }
  if (majoritySign !== undefined) {
    if (!ties) throw idle('majoritySign', 'ties and dare_ties');
    if (majoritySign !== 'total' && majoritySign !== 'frequency') {
      throw refuse(`majoritySign is ${JSON.stringify(majoritySign)}; it must be total or frequency`);
    }
  }
  if (seed !== undefined) {
    if (prune !== 'random') throw idle('seed', 'dare_*');
    if (!(Number.isSafeInteger(seed) && seed >= 0)) throw refuse(`seed is ${seed}; it must be an integer from 0`);
  }
  return type;
}

/** An adapter's A and B in one module, in float64, and what B A is multiplied by. */
interface Part {
  A: Float64Array;
  B: Float64Array;
  rank: number;
  weight: number;
  scaling: number;
  /** weight · scaling */
  factor: number;
}

function partsOf(path: string, linear: LoraLinear, parts: readonly WeightedAdapter[]): Part[] {
  return parts
    .filter(({ adapter }) => linear.adapters.has(adapter))
    .map(({ adapter, weight }) => {
      const { A, B, settings } = linear.adapter(adapter);
      const [a, b] = [Float64Array.from(A.data()), Float64Array.from(B.data())];
      if (!a.every(Number.isFinite) || !b.every(Number.isFinite)) {
        throw refuse(`adapter "${adapter}" of "${path}" holds NaN or infinite values. Train or load it again.`);
      }
      const { rank, scaling } = settings;
      return { A: a, B: b, rank, weight, scaling, factor: weight * scaling };
    });
}

interface Shape {
  path: string;
  m: number;
  n: number;
}

/** A's below each other, times their factors; B's beside each other. */
function concatenated(parts: readonly Part[], { m, n }: Shape): Factors & { rank: number } {
  const rank = parts.reduce((sum, part) => sum + part.rank, 0);
  const [A, B] = [new Float64Array(rank * n), new Float64Array(m * rank)];
  let at = 0;
  for (const part of parts) {
    A.set(
      part.A.map((value) => value * part.factor),
      at * n,
    );
    for (let i = 0; i < m; i++) B.set(part.B.subarray(i * part.rank, (i + 1) * part.rank), i * rank + at);
    at += part.rank;
  }
  return { A, B, rank };
}

/** Sums of A and of B, √|factor| on both and its sign on A. */
function separately(
  parts: readonly Part[],
  { path }: Shape,
  sum: SumOptions,
  tensor: number,
): Factors & { rank: number } {
  const [first] = parts as [Part];
  const other = parts.find(({ rank }) => rank !== first.rank);
  if (other) {
    throw invalidLora(
      `combineAdapters: the adapters have ranks ${first.rank} and ${other.rank} on "${path}", and A and B are summed entry by entry. ` +
        'Take the type cat, svd or one that ends in _svd.',
    );
  }
  const root = ({ factor }: Part) => Math.sqrt(Math.abs(factor));
  const A = parts.map((part) => ({ values: part.A, factor: part.factor < 0 ? -root(part) : root(part) }));
  const B = parts.map((part) => ({ values: part.B, factor: root(part) }));
  return { A: sparseSum(A, sum, 2 * tensor), B: sparseSum(B, sum, 2 * tensor + 1), rank: first.rank };
}

/** The best of a rank of the sum of whole deltas. */
function approximated(parts: readonly Part[], { m, n }: Shape, sum: SumOptions, tensor: number, rank: number): Factors {
  if (sum.prune === 'none') {
    const { A, B, rank: stacked } = concatenated(parts, { path: '', m, n });
    return lowRankOfProduct(B, A, [m, stacked, n], rank);
  }
  // Deltas have the adapter's own scale, and the sum its weight; the signs are elected before that.
  const terms = parts.map(({ A, B, rank: own, scaling, weight }) => ({
    values: multiply(B, A, m, own, n).map((value) => value * scaling),
    factor: weight,
  }));
  return lowRankOf(sparseSum(terms, sum, tensor), [m, n], rank);
}

/** Which adapter's copies of modules the new one gets. */
function headOf(model: Module, parts: readonly WeightedAdapter[], wanted: string | undefined): string | undefined {
  const names = parts.map(({ adapter }) => adapter);
  const having = names.filter((name) => adapterEntry(model, name).saved.length > 0);
  if (wanted !== undefined) {
    if (having.includes(wanted)) return wanted;
    throw refuse(
      `headOf is "${wanted}"; it must be one of the combined adapters that hold modules whole: ${having.join(', ') || 'none'}`,
    );
  }
  if (having.length < 2) return having[0];
  const saved = adapterEntry(model, having[0] as string).saved.join(', ');
  throw invalidLora(
    `combineAdapters: ${having.map((name) => `"${name}"`).join(' and ')} each hold modules whole (${saved}), which are no sums. ` +
      'Say with headOf whose the new adapter gets.',
  );
}

/** Gives the new adapter the values of another one's copies. */
function copySaved(model: Module, from: string, to: string): void {
  for (const [, module] of savedModules(model)) {
    const [source, target] = [module.modules_to_save.get(from), module.modules_to_save.get(to)];
    if (!source || !target) continue;
    const values = new Map(source.namedParameters());
    for (const [at, parameter] of target.namedParameters()) parameter.setData(values.get(at)!.data().slice());
  }
}

const sizeOf = (module: Module) =>
  module instanceof Embedding ? module.numEmbeddings : outputsOf(module)?.outFeatures;

/** Rows of embeddings and outputs of heads that an adapter has in another number than the base. */
function rowsOf(model: Module, name: string): Map<string, number> {
  const rows = new Map<string, number>();
  for (const [path, { original, modules_to_save }] of savedModules(model)) {
    const copy = modules_to_save.get(name);
    if (!copy) continue;
    const [own, base] = [sizeOf(copy), sizeOf(original)];
    if (own !== undefined && own !== base) rows.set(path, own);
  }
  return rows;
}

/**
 * Adds an adapter that is a weighted combination of others, which stay: all is summed in float64
 * and rounded once. It becomes the one active adapter, with the factor 1 in every module, frozen
 * unless `trainable`.
 *
 * @param name of the new adapter.
 * @param parts adapters of the model with their weights; a module that one of them lacks gets
 * nothing of it.
 * @returns paths of the adapted modules.
 * @throws FusedLoraError INVALID_ARGUMENT for what is wrong with the call; INVALID_LORA for a name
 * that is taken, ranks that do not fit the type, or several heads without `headOf`. Nothing is
 * changed then.
 */
export function combineAdapters(
  model: Module,
  name: string,
  parts: readonly WeightedAdapter[],
  options: CombineOptions = {},
): string[] {
  const type = checkCall(model, parts, options);
  checkName(model, name);
  checkUnmerged(model);
  const { prune, ties, whole } = TYPES[type];
  const { density = 1, seed = 0, majoritySign = 'total' } = options;
  const sum: SumOptions = { prune, density, seed, sign: ties ? majoritySign : undefined };
  const head = headOf(model, parts, options.headOf);
  const linears = loraLinears(model).filter(([, { adapters }]) => parts.some(({ adapter }) => adapters.has(adapter)));
  if (linears.length === 0) throw invalidLora('combineAdapters: none of the adapters adapts a module.');
  const largest = Math.max(
    ...linears.flatMap(([, { adapters }]) => parts.map(({ adapter }) => adapters.get(adapter)?.rank ?? 0)),
  );

  const made = new Map<string, Factors & { rank: number }>();
  for (const [tensor, [path, linear]] of linears.entries()) {
    const shape = { path, m: linear.outFeatures, n: linear.inFeatures };
    const own = partsOf(path, linear, parts);
    if (!whole) {
      made.set(path, type === 'cat' ? concatenated(own, shape) : separately(own, shape, sum, tensor));
      continue;
    }
    const most = Math.min(shape.m, shape.n);
    if (options.rank !== undefined && options.rank > most) {
      throw refuse(`rank is ${options.rank}, and "${path}" is [${shape.m}, ${shape.n}]; give at most ${most}`);
    }
    const rank = options.rank ?? Math.min(largest, most);
    made.set(path, { ...approximated(own, shape, sum, tensor, rank), rank });
  }
  const plan = planOf(model, name, made, parts, head);
  applyPlan(model, plan, name, {
    trainable: options.trainable ?? false,
    head: head === undefined ? undefined : adapterEntry(model, head).head,
  });
  for (const [path, linear] of loraLinears(model)) {
    const factors = made.get(path);
    if (!factors) continue;
    const { A, B } = linear.adapter(name);
    A.setData(Float32Array.from(factors.A));
    B.setData(Float32Array.from(factors.B));
  }
  if (head !== undefined) copySaved(model, head, name);
  const { base_model_name_or_path, revision, task_type } =
    adapterEntry(model, (parts[0] as WeightedAdapter).adapter).json ?? {};
  const json = { base_model_name_or_path, revision, task_type };
  adapterEntry(model, name).json = Object.fromEntries(
    Object.entries(json).filter(([, value]) => value !== undefined),
  ) as never;
  return [...made.keys()];
}

/** The configuration of what was made: the factor is 1 in each module, whatever its rank. */
function planOf(
  model: Module,
  name: string,
  made: ReadonlyMap<string, Factors & { rank: number }>,
  parts: readonly WeightedAdapter[],
  head: string | undefined,
): AdapterPlan {
  for (const [path, { A, B, rank }] of made) {
    if (rank > MAX_RANK) {
      throw invalidLora(
        `combineAdapters: the ranks on "${path}" are ${rank} together, above ${MAX_RANK}. Take the type svd with a rank of at most ${MAX_RANK}.`,
      );
    }
    const fits = (value: number) => Number.isFinite(Math.fround(value));
    if (!A.every(fits) || !B.every(fits)) {
      throw refuse(`the combination on "${path}" is above what float32 can hold. Nothing was changed.`);
    }
  }
  const r = Math.max(...[...made.values()].map(({ rank }) => rank));
  const others = Object.fromEntries(
    [...made].filter(([, { rank }]) => rank !== r).map(([path, { rank }]) => [path, rank]),
  );
  const { config } = adapterEntry(model, (parts[0] as WeightedAdapter).adapter);
  const plan = planAdapter(
    model,
    {
      r,
      loraAlpha: r,
      loraDropout: config.loraDropout,
      targetModules: [...made.keys()],
      rankPattern: others,
      alphaPattern: others,
      modulesToSave: head === undefined ? [] : adapterEntry(model, head).saved,
    },
    name,
    { anyRank: true },
  );
  if (head !== undefined) plan.rows = rowsOf(model, head);
  return plan;
}
