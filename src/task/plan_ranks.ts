/**
 * What a run on several ranks costs each of them: its share of a batch, memory, bytes sent, time.
 * How shares and sums are made: src/distributed; the plan as a whole is plan_training.ts.
 */
import type { EncodedSource } from '../data/batch/encoded_source';
import type { Plan } from '../graph/plan';
import type { Sizes } from '../graph/value';

/** Between machines, where nothing is said: 10 Gbit/s. */
export const DEFAULT_NETWORK = 10;

/** Four buckets of 4 MiB are under way together: native/distributed/gradient_sum.h. */
const BUCKETS = 4 * 2 ** 22;

/** Of a batch that several ranks compute. */
export interface PlannedRanks {
  ranks: number;
  /** Of the largest share. */
  largest: Sizes;
  /** What a rank sends in an optimizer step, and as many bytes come to it. */
  sentBytes: number;
  /** What all of them send. */
  wireBytes: number;
  /** Of a rank: the arena of its share, weights, gradients, optimizer, and what is exchanged. */
  peakBytes: number;
  /**
   * Of an optimizer step: that of a share measured here, and its bytes over the network. Present
   * where steps are measured.
   */
  secondsPerStep?: number;
  /** Of all steps; absent without data. */
  secondsInAll?: number;
}

type Epoch = ReturnType<EncodedSource['epoch']>;

/** The batches of the last rank, whose sequences are the longest of each batch. */
export function shareEpoch(epoch: Epoch, ranks: number): Pick<Epoch, 'length' | 'largest' | 'at'> {
  const share = { index: ranks - 1, count: ranks };
  // A batch of fewer sequences than ranks leaves some without.
  const at = (index: number) => epoch.shareAt(index, share) ?? epoch.at(index);
  return { length: epoch.length, largest: epoch.largest, at };
}

/** @param ownedBytes weights, gradients and optimizer. */
export function planRanks(plan: Plan, epoch: Epoch, ranks: number, ownedBytes: number): PlannedRanks {
  const largest = shareEpoch(epoch, ranks).at(epoch.largest).sizes;
  const gradientBytes = 4 * plan.trained.reduce((sum, { count }) => sum + count, 0);
  const wireBytes = 2 * (ranks - 1) * gradientBytes;
  // Gradients are sent from where they lie; what comes in lies in buckets.
  const exchanged = ranks > 1 ? Math.min(BUCKETS, gradientBytes) : 0;
  return {
    ranks,
    largest,
    sentBytes: wireBytes / ranks,
    wireBytes,
    peakBytes: plan.peakBytes(largest) + ownedBytes + exchanged,
  };
}

/** Seconds of the bytes of a step, in and out at one time. */
export const wireSeconds = ({ sentBytes }: PlannedRanks, gigabits: number) => (8 * sentBytes) / (1e9 * gigabits);
