/**
 * Which examples form which batch, in which order: a function of lengths, options and seed that
 * sees no token. How the chosen examples are laid out is in packing.ts; epochs of whole data sets
 * are planned by the sources beside it.
 */
import { FusedLoraError } from '../../base/errors';
import { RANDOM_SITE, RandomStream } from '../../base/philox';

/** Sequences a batch, where no token budget is given either. */
export const DEFAULT_BATCH_SIZE = 32;

/** How examples become batches. */
export interface PackOptions {
  /**
   * At most this many sequences a batch; default 32 where no tokenBudget is given, else unlimited.
   */
  batchSize?: number;
  /** At most this many tokens a batch; default unlimited. */
  tokenBudget?: number;
  /** Seed of the order, an integer from 0. Absent: the order of the file. */
  shuffleSeed?: number;
  /** Another order for each epoch of the same seed; default 0. */
  epoch?: number;
  /** Batches in a window within which examples are sorted by length; default 50. */
  window?: number;
  /**
   * Default: true when shuffling. Without a seed, true sorts all examples (results carry
   * `exampleIndices`).
   */
  sortByLength?: boolean;
}

function checkPositive(name: string, value: number | undefined): void {
  if (value !== undefined && !(Number.isSafeInteger(value) && value > 0)) {
    throw new FusedLoraError('INVALID_ARGUMENT', `${name} is ${value}; it must be an integer of at least 1.`);
  }
}

function checkOptions(lengths: ArrayLike<number>, options: PackOptions): void {
  const { tokenBudget, shuffleSeed, epoch = 0 } = options;
  checkPositive('batchSize', options.batchSize);
  checkPositive('tokenBudget', tokenBudget);
  checkPositive('window', options.window);
  for (const [name, value] of Object.entries({ shuffleSeed, epoch })) {
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= 0)) {
      throw new FusedLoraError('INVALID_ARGUMENT', `${name} is ${value}; it must be an integer of at least 0.`);
    }
  }
  for (let i = 0; i < lengths.length; i++) {
    const length = lengths[i]!;
    if (!(Number.isSafeInteger(length) && length > 0)) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `example ${i} has ${length} tokens; every example needs at least 1.`,
      );
    }
    if (tokenBudget !== undefined && length > tokenBudget) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `example ${i} has ${length} tokens, more than the tokenBudget of ${tokenBudget}: raise the budget or lower maxLength.`,
      );
    }
  }
}

/** Cuts `order` into runs of at most `maxCount` examples and `maxTokens` tokens. */
function cut(order: Int32Array, lengths: ArrayLike<number>, maxCount: number, maxTokens: number): Int32Array[] {
  const runs: Int32Array[] = [];
  let start = 0;
  let tokens = 0;
  for (let i = 0; i < order.length; i++) {
    const length = lengths[order[i]!]!;
    if (i > start && (i - start >= maxCount || tokens + length > maxTokens)) {
      runs.push(order.slice(start, i));
      start = i;
      tokens = 0;
    }
    tokens += length;
  }
  if (start < order.length) runs.push(order.slice(start));
  return runs;
}

/** Sorts by length; examples of the same length stay in the order they had. */
function sortByLength(order: Int32Array, lengths: ArrayLike<number>): Int32Array {
  return Int32Array.from(Array.from(order).sort((a, b) => lengths[a]! - lengths[b]!));
}

/**
 * Decides which examples form which batch, in which order. With a seed: all examples are shuffled,
 * cut into windows of `window` batches, sorted by length inside the window and cut into batches,
 * and the batches of a window are shuffled. So a batch holds sequences of like length, while which
 * of them meet differs from epoch to epoch.
 *
 * @param lengths [n] tokens of each example, at least 1.
 * @returns indices of examples for each batch; every example exactly once. A pure function of its
 * arguments.
 * @throws FusedLoraError INVALID_ARGUMENT for options out of range, an empty example, or one longer
 * than the budget.
 */
export function planBatches(lengths: Int32Array | readonly number[], options: PackOptions): Int32Array[] {
  checkOptions(lengths, options);
  const { tokenBudget = Number.POSITIVE_INFINITY, shuffleSeed, epoch = 0, window = 50 } = options;
  const batchSize =
    options.batchSize ?? (options.tokenBudget === undefined ? DEFAULT_BATCH_SIZE : Number.POSITIVE_INFINITY);
  const order = Int32Array.from({ length: lengths.length }, (_, i) => i);
  if (shuffleSeed === undefined) {
    return cut(options.sortByLength ? sortByLength(order, lengths) : order, lengths, batchSize, tokenBudget);
  }
  new RandomStream(shuffleSeed, RANDOM_SITE.shuffle, epoch).shuffle(order);
  if (options.sortByLength === false) return cut(order, lengths, batchSize, tokenBudget);
  return cut(order, lengths, batchSize * window, tokenBudget * window).flatMap((examples, i) =>
    new RandomStream(shuffleSeed, RANDOM_SITE.shuffleBatches, epoch, i).shuffle(
      cut(sortByLength(examples, lengths), lengths, batchSize, tokenBudget),
    ),
  );
}

/**
 * How many batches {@link planBatches} makes, without the plan where sentences alone are counted.
 *
 * @throws FusedLoraError as {@link planBatches}.
 */
export function countBatches(lengths: Int32Array | readonly number[], options: PackOptions): number {
  if (options.tokenBudget !== undefined) return planBatches(lengths, options).length;
  checkOptions(lengths, options);
  return Math.ceil(lengths.length / (options.batchSize ?? DEFAULT_BATCH_SIZE));
}
