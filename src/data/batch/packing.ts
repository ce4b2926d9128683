import { FusedLoraError } from '../../base/errors';
import { RANDOM_SITE, RandomStream } from '../../base/philox';

/** A label that counts for nothing, as in PyTorch's cross entropy. */
export const IGNORE_LABEL = -100;

/** The token ids of one example with at most one kind of label. */
export interface EncodedExample {
  /** [n] token ids, special tokens included. */
  inputIds: Int32Array;
  /** [n] 0 for the first text, 1 for the second where the model tells them apart. */
  tokenTypeIds: Int32Array;
  /** Class index of the sequence. */
  label?: number;
  /** [numOutputs] regression targets of the sequence. */
  targets?: readonly number[];
  /** [n] class index of each token, {@link IGNORE_LABEL} for tokens without one. */
  tokenLabels?: Int32Array;
  /** Masked LM: the tokens to be predicted and what stood there. */
  masked?: { positions: Int32Array; labels: Int32Array };
}

/** Sequences end to end, without padding. T tokens, S sequences, M masked tokens. */
export interface Batch {
  /** [T] token ids of all sequences end to end. */
  inputIds: Int32Array;
  /** [T] position of each token in its sequence, plus the model's offset. */
  positionIds: Int32Array;
  /** [T] */
  tokenTypeIds: Int32Array;
  /** [S + 1] sequence s is tokens cuSeqlens[s] to cuSeqlens[s + 1]. */
  cuSeqlens: Int32Array;
  /** [S] class index, [T] token classes, or [M] masked tokens. */
  labels?: Int32Array;
  /** [S * numOutputs] regression targets. */
  targets?: Float32Array;
  /** [S] token index of each sequence's first token (its classification token). */
  firstToken: Int32Array;
  /** [M] masked LM: token indices with a label. */
  rowIndex?: Int32Array;
  /** [S] indices of the examples in this batch. */
  exampleIndices: Int32Array;
  numTokens: number;
  numSequences: number;
}

/** How examples become batches. */
export interface PackOptions {
  /** At most this many sequences a batch; default 32 where no tokenBudget is given, else unlimited. */
  batchSize?: number;
  /** At most this many tokens a batch; default unlimited. */
  tokenBudget?: number;
  /** Seed of the order, an integer from 0. Absent: the order of the file. */
  shuffleSeed?: number;
  /** Another order for each epoch of the same seed; default 0. */
  epoch?: number;
  /** Batches in a window within which examples are sorted by length; default 50. */
  window?: number;
  /** Default: true when shuffling. Without a seed, true sorts all examples (results carry `exampleIndices`). */
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
 * Decides which examples form which batch, in which order. With a seed: all examples are shuffled, cut into windows of `window` batches,
 * sorted by length inside the window and cut into batches, and the batches of a window are shuffled. So a batch holds
 * sequences of like length, while which of them meet differs from epoch to epoch.
 *
 * @param lengths [n] tokens of each example, at least 1.
 * @returns indices of examples for each batch; every example exactly once. A pure function of its arguments.
 * @throws FusedLoraError INVALID_ARGUMENT for options out of range, an empty example, or one longer than the budget.
 */
export function planBatches(lengths: Int32Array | readonly number[], options: PackOptions): Int32Array[] {
  checkOptions(lengths, options);
  const { tokenBudget = Number.POSITIVE_INFINITY, shuffleSeed, epoch = 0, window = 50 } = options;
  const batchSize = options.batchSize ?? (options.tokenBudget === undefined ? 32 : Number.POSITIVE_INFINITY);
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

/** Where positions start, and how many the model has. */
export interface PositionRule {
  /** Position of the first token: padId + 1 (that is 2) for RoBERTa, 0 for BERT. */
  offset: number;
  /** Rows of the model's position table (`max_position_embeddings`); default unlimited. */
  maxPositions?: number;
}

const KINDS = ['label', 'targets', 'tokenLabels', 'masked'] as const;

/** The kind of label that all examples of the batch have; undefined where none has one. */
function labelKind(examples: EncodedExample[], indices: Int32Array): (typeof KINDS)[number] | undefined {
  const kindOf = (example: EncodedExample) => KINDS.find((kind) => example[kind] !== undefined);
  const kind = examples[0] && kindOf(examples[0]);
  const other = examples.findIndex((example) => kindOf(example) !== kind);
  if (other >= 0) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `examples ${indices[0]} and ${indices[other]} can not share a batch: one has ${kind ?? 'no label'}, ` +
        `the other ${kindOf(examples[other]!) ?? 'no label'}. Give all examples of a data set the same kind of label.`,
    );
  }
  return kind;
}

function concat(parts: readonly ArrayLike<number>[]): Int32Array {
  const out = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function packLabels(examples: EncodedExample[], indices: Int32Array, firstToken: Int32Array): Partial<Batch> {
  switch (labelKind(examples, indices)) {
    case 'label':
      return { labels: Int32Array.from(examples, (example) => example.label!) };
    case 'targets': {
      const numOutputs = examples[0]!.targets!.length;
      const other = examples.findIndex((example) => example.targets!.length !== numOutputs);
      if (other >= 0) {
        throw new FusedLoraError(
          'INVALID_ARGUMENT',
          `example ${indices[other]} has ${examples[other]!.targets!.length} targets, example ${indices[0]} has ${numOutputs}.`,
        );
      }
      return { targets: Float32Array.from(examples.flatMap((example) => [...example.targets!])) };
    }
    case 'tokenLabels': {
      const other = examples.findIndex((example) => example.tokenLabels!.length !== example.inputIds.length);
      if (other >= 0) {
        const { tokenLabels, inputIds } = examples[other]!;
        throw new FusedLoraError(
          'INVALID_ARGUMENT',
          `example ${indices[other]} has ${tokenLabels!.length} token labels for ${inputIds.length} tokens.`,
        );
      }
      return { labels: concat(examples.map((example) => example.tokenLabels!)) };
    }
    case 'masked':
      return {
        labels: concat(examples.map((example) => example.masked!.labels)),
        rowIndex: concat(examples.map(({ masked }, s) => masked!.positions.map((p) => firstToken[s]! + p))),
      };
    case undefined:
      return {};
  }
}

/**
 * Lays the chosen examples end to end.
 *
 * @param encoded all examples.
 * @param indices which of them, as {@link planBatches} gives them.
 * @throws FusedLoraError INVALID_ARGUMENT for an index out of range, an empty example, mixed kinds of labels, or a sequence with more
 * tokens than the model has positions.
 */
export function packBatch(encoded: readonly EncodedExample[], indices: Int32Array, positions: PositionRule): Batch {
  const most = (positions.maxPositions ?? Number.POSITIVE_INFINITY) - positions.offset;
  const examples = Array.from(indices, (index) => {
    const example = encoded[index];
    const length = example?.inputIds.length ?? 0;
    if (!example || length === 0 || example.tokenTypeIds.length !== length) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `example ${index} is missing, empty or lacks token types (${encoded.length} examples).`,
      );
    }
    if (length > most) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `example ${index} has ${length} tokens, but the model has positions for ${most}: lower maxLength to ${most}.`,
      );
    }
    return example;
  });
  const numSequences = examples.length;
  const cuSeqlens = new Int32Array(numSequences + 1);
  examples.forEach((example, s) => {
    cuSeqlens[s + 1] = cuSeqlens[s]! + example.inputIds.length;
  });
  const numTokens = cuSeqlens[numSequences]!;
  const positionIds = new Int32Array(numTokens);
  for (let s = 0; s < numSequences; s++) {
    const first = cuSeqlens[s]!;
    for (let t = first; t < cuSeqlens[s + 1]!; t++) positionIds[t] = positions.offset + t - first;
  }
  const firstToken = cuSeqlens.slice(0, numSequences);
  return {
    inputIds: concat(examples.map((example) => example.inputIds)),
    positionIds,
    tokenTypeIds: concat(examples.map((example) => example.tokenTypeIds)),
    cuSeqlens,
    ...packLabels(examples, indices, firstToken),
    firstToken,
    exampleIndices: Int32Array.from(indices),
    numTokens,
    numSequences,
  };
}
