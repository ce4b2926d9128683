/**
 * Batches of examples that lie encoded in memory: for training in another order each epoch, for
 * evaluation sorted by length. Its masked form for pretraining is in masked_source.ts; what does
 * not fit in memory is read by streamed_source.ts.
 */
import { FusedLoraError } from '../../base/errors';
import { type Share, shareOf } from '../../distributed/shares';
import type { EncodedExample } from '../tokenize/encoded_example';
import type { Batch, BatchSource } from './batch';
import { type PackOptions, planBatches } from './batch_plan';
import { Fingerprint } from './fingerprint';
import { type PositionRule, packBatch } from './packing';

export interface SourceOptions extends Pick<PackOptions, 'batchSize' | 'tokenBudget' | 'window'> {
  /** Where the model's positions start and end. */
  positions: PositionRule;
  /** Seed of the order and of what is masked, an integer from 0. Default 0. */
  seed?: number;
  /**
   * Another order each epoch. Default true; false: sorted by length, for evaluation (results go by
   * `exampleIndices`).
   */
  shuffle?: boolean;
}

/**
 * Epochs whose plan is kept: it is asked for to count the steps of a run, and again when the epoch
 * comes. 4 bytes an example.
 */
const KEPT_PLANS = 8;

interface EpochPlan {
  /** Examples of each batch. */
  batches: readonly Int32Array[];
  /** Number of the batch with the most tokens. */
  largest: number;
}

function fingerprintOf(examples: readonly EncodedExample[], lengths: Int32Array, options: object): string {
  const fingerprint = new Fingerprint(options);
  fingerprint.lengths(lengths);
  for (const example of examples) fingerprint.add(example);
  return fingerprint.done();
}

/**
 * Encoded examples in batches. The batches of an epoch are a function of the examples, the options
 * and the epoch alone.
 *
 * @throws FusedLoraError INVALID_DATA without examples; INVALID_ARGUMENT as `planBatches` and
 * `packBatch` do.
 */
export class EncodedSource implements BatchSource {
  private named: string | undefined;
  private readonly lengths: Int32Array;
  private readonly plans = new Map<number, EpochPlan>();

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
    // Whatever the options and lengths make impossible is told now, not in the midst of a run.
    this.plan(0);
  }

  /** Made when it is first asked for: whoever only evaluates needs none. */
  get fingerprint(): string {
    this.named ??= fingerprintOf(this.examples, this.lengths, { ...this.options, kind: this.constructor.name });
    return this.named;
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
  epoch(epoch: number): {
    readonly length: number;
    readonly largest: number;
    at(index: number): Batch;
    shareAt(index: number, share: Share): Batch | undefined;
  } {
    const { batches, largest } = this.plan(epoch);
    return {
      length: batches.length,
      largest,
      at: (index) => this.pack(batches[index] as Int32Array, epoch),
      shareAt: (index, share) => {
        const indices = shareOf(batches[index] as Int32Array, share);
        return indices.length === 0 ? undefined : this.pack(indices, epoch);
      },
    };
  }

  /** Lays out the examples of one batch. */
  protected pack(indices: Int32Array, _epoch: number): Batch {
    return packBatch(this.examples, indices, this.options.positions);
  }

  private plan(epoch: number): EpochPlan {
    const { shuffle = true } = this.options;
    // In the order of lengths all epochs are the same.
    const key = shuffle ? epoch : 0;
    let plan = this.plans.get(key);
    if (!plan) {
      plan = this.makePlan(epoch);
      this.plans.set(key, plan);
      const [oldest] = this.plans.keys();
      if (this.plans.size > KEPT_PLANS && oldest !== undefined) this.plans.delete(oldest);
    }
    return plan;
  }

  private makePlan(epoch: number): EpochPlan {
    const { seed = 0, shuffle = true, batchSize, tokenBudget, window } = this.options;
    const batches = planBatches(this.lengths, {
      ...(batchSize !== undefined && { batchSize }),
      ...(tokenBudget !== undefined && { tokenBudget }),
      ...(window !== undefined && { window }),
      ...(shuffle ? { shuffleSeed: seed, epoch } : { sortByLength: true }),
    });
    const tokens = batches.map((indices) => indices.reduce((sum, i) => sum + (this.lengths[i] as number), 0));
    const largest = tokens.reduce((best, count, b) => (count > (tokens[best] as number) ? b : best), 0);
    return { batches, largest };
  }
}
