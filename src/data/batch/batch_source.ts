/** Encoded examples as batches of an epoch, made when they are asked for: what training and evaluation read. */
import { createHash } from 'node:crypto';
import { FusedLoraError } from '../../base/errors';
import type { BatchTensors } from '../../graph/program';
import {
  type Batch,
  type EncodedExample,
  IGNORE_LABEL,
  type PackOptions,
  type PositionRule,
  packBatch,
  planBatches,
} from './packing';

/** A batch with the names of its examples and the rows that its loss is a mean over. */
export interface SourceBatch extends BatchTensors {
  /** [S] */
  exampleIndices: Int32Array;
  lossRows: number;
}

export interface SourceOptions extends Pick<PackOptions, 'batchSize' | 'tokenBudget' | 'window'> {
  /** Where the model's positions start and end. */
  positions: PositionRule;
  /** Seed of the order and of what is masked, an integer from 0. Default 0. */
  seed?: number;
  /** Another order each epoch. Default true; false: sorted by length, for evaluation (results go by `exampleIndices`). */
  shuffle?: boolean;
}

/** Rows of a batch whose label counts: with none of them the mean would be 0 / 0. */
function lossRowsOf(batch: Batch): number {
  if (batch.targets) return batch.numSequences;
  if (!batch.labels) return 0;
  let rows = 0;
  for (const label of batch.labels) if (label !== IGNORE_LABEL) rows++;
  return rows;
}

/** The named inputs that models read, with the numbers of rows. */
export function toSourceBatch(batch: Batch): SourceBatch {
  const { inputIds, positionIds, tokenTypeIds, cuSeqlens, firstToken, rowIndex, labels, targets } = batch;
  return {
    tensors: {
      inputIds,
      positionIds,
      tokenTypeIds,
      cuSeqlens,
      firstToken,
      ...(rowIndex && { rowIndex }),
      ...(labels && { labels }),
      ...(targets && { targets }),
    },
    sizes: { T: batch.numTokens, S: batch.numSequences, M: rowIndex?.length ?? 0 },
    exampleIndices: batch.exampleIndices,
    lossRows: lossRowsOf(batch),
  };
}

/** SHA-256 over options, lengths, ids and labels: other data or another order, another fingerprint. */
function fingerprintOf(examples: readonly EncodedExample[], options: object): string {
  const hash = createHash('sha256').update(JSON.stringify(options));
  const bytes = (array: Int32Array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  hash.update(bytes(Int32Array.from(examples, (example) => example.inputIds.length)));
  for (const { inputIds, tokenTypeIds, label, targets, tokenLabels } of examples) {
    hash.update(bytes(inputIds)).update(bytes(tokenTypeIds));
    if (tokenLabels) hash.update(bytes(tokenLabels));
    if (label !== undefined || targets) hash.update(JSON.stringify(label ?? targets));
  }
  return hash.digest('hex').slice(0, 32);
}

/**
 * Encoded examples in batches. The batches of an epoch are a function of the examples, the options and the epoch alone.
 *
 * @throws FusedLoraError INVALID_DATA without examples; INVALID_ARGUMENT as `planBatches` and `packBatch` do.
 */
export class EncodedSource {
  readonly fingerprint: string;
  private readonly lengths: Int32Array;

  constructor(
    protected readonly examples: readonly EncodedExample[],
    protected readonly options: SourceOptions,
  ) {
    if (examples.length === 0) {
      throw new FusedLoraError('INVALID_DATA', 'there are no examples: give a data set of at least one row');
    }
    const { seed = 0 } = options;
    if (!(Number.isSafeInteger(seed) && seed >= 0)) {
      throw new FusedLoraError('INVALID_ARGUMENT', `seed is ${seed}, expected a whole number from 0`);
    }
    this.lengths = Int32Array.from(examples, (example) => example.inputIds.length);
    this.fingerprint = fingerprintOf(examples, { ...options, kind: this.constructor.name });
    // Whatever the options and lengths make impossible is told now, not in the midst of a run.
    this.plan(0);
  }

  get numExamples(): number {
    return this.examples.length;
  }

  /** Tokens of all examples, special tokens included. */
  get numTokens(): number {
    return this.lengths.reduce((sum, length) => sum + length, 0);
  }

  /** Tokens of each example. */
  lengthsOfExamples(): Iterable<number> {
    return this.lengths;
  }

  /** The batches of an epoch, from 0; `largest` is the number of the one with the most tokens. */
  epoch(epoch: number): { readonly length: number; readonly largest: number; at(index: number): SourceBatch } {
    const batches = this.plan(epoch);
    const tokens = batches.map((indices) => indices.reduce((sum, i) => sum + (this.lengths[i] as number), 0));
    const largest = tokens.reduce((best, count, b) => (count > (tokens[best] as number) ? b : best), 0);
    return { length: batches.length, largest, at: (index) => this.pack(batches[index] as Int32Array, epoch) };
  }

  /** Lays out the examples of one batch. */
  protected pack(indices: Int32Array, _epoch: number): SourceBatch {
    return toSourceBatch(packBatch(this.examples, indices, this.options.positions));
  }

  private plan(epoch: number): Int32Array[] {
    const { seed = 0, shuffle = true, batchSize, tokenBudget, window } = this.options;
    return planBatches(this.lengths, {
      ...(batchSize !== undefined && { batchSize }),
      ...(tokenBudget !== undefined && { tokenBudget }),
      ...(window !== undefined && { window }),
      ...(shuffle ? { shuffleSeed: seed, epoch } : { sortByLength: true }),
    });
  }
}
