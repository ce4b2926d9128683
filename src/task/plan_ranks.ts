/**
 * What a run on several ranks costs each of them: its shares of a batch, memory, bytes sent, time.
 * How shares and sums are made: src/distributed; the plan as a whole is plan_training.ts.
 */
import type { EncodedSource } from '../data/batch/encoded_source';
import { sharesOfRank, summandsOf } from '../distributed/shares';
import type { Plan } from '../graph/plan';
import type { Sizes } from '../graph/value';

/** Between machines, where nothing is said: 10 Gbit/s. */
export const DEFAULT_NETWORK = 10;

/** Four buckets of 4 MiB are under way together: native/distributed/gradient_sum.h. */
const BUCKETS = 4 * 2 ** 22;

/** Of a batch that several ranks compute. */
export interface PlannedRanks {
  ranks: number;
  /** Parts of the batch; a rank may have several. */
  shares: number;
  /** Of the largest share. */
  largest: Sizes;
  /** What a rank sends in an optimizer step at most, and as many bytes come to one. */
  sentBytes: number;
  /** What all of them send. */
  wireBytes: number;
  /** Gradients of its other shares that a rank holds until they are summed, at most. */
  heldBytes: number;
  /** Of a rank: the arena of a share, weights, gradients, optimizer, and what is exchanged. */
  peakBytes: number;
  /**
   * Of an optimizer step: those of a rank's shares, measured here, and its bytes over the network.
   * Present where steps are measured.
   */
  secondsPerStep?: number;
  /** Of all steps; absent without data. */
  secondsInAll?: number;
}

/** How a batch is divided. */
export interface Division {
  ranks: number;
  shares: number;
}

type Epoch = ReturnType<EncodedSource['epoch']>;

/** Each batch's last share, whose sequences are the longest. */
export function shareEpoch(epoch: Epoch, shares: number): Pick<Epoch, 'length' | 'largest' | 'at'> {
  const share = { index: shares - 1, count: shares };
  // A batch of fewer sequences than shares leaves some without.
  const at = (index: number) => epoch.shareAt(index, share) ?? epoch.at(index);
  return { length: epoch.length, largest: epoch.largest, at };
}

/** Shares of the rank that has most of them. */
export function mostShares({ ranks, shares }: Division): number {
  return Math.max(...rangesOf({ ranks, shares }).map(({ first, end }) => end - first));
}

const rangesOf = ({ ranks, shares }: Division) =>
  Array.from({ length: ranks }, (_, rank) => sharesOfRank(rank, ranks, shares));

/** @param ownedBytes weights, gradients and optimizer. */
export function planRanks(plan: Plan, epoch: Epoch, division: Division, ownedBytes: number): PlannedRanks {
  const { ranks, shares } = division;
  const largest = shareEpoch(epoch, shares).at(epoch.largest).sizes;
  const gradientBytes = 4 * plan.trained.reduce((sum, { count }) => sum + count, 0);
  const summands = summandsOf(ranks, new Array<number>(shares).fill(1));
  const all = summands.reduce((sum, count) => sum + count, 0);
  // A rank sends slices of its summands to all others, and then its slice of the sum.
  const sentBy = (count: number) => ((count + 1) * (ranks - 1) * gradientBytes) / ranks;
  // A rank's last gradients stay where they lie; the first rank adds up the others, and one process
  // by itself copies them all out for that.
  const held = rangesOf(division).map(({ first, end }, rank) => {
    if (end - first < 2) return 0;
    return ranks === 1 ? 2 : Math.max(1, (summands[rank] as number) - 1);
  });
  const heldBytes = Math.max(...held) * gradientBytes;
  // Gradients are sent from where they lie; what comes in lies in buckets.
  const received = Math.max(...summands.map((count) => all - count)) / ranks;
  const exchanged = ranks > 1 ? Math.max(1, received) * Math.min(BUCKETS, gradientBytes) : 0;
  return {
    ranks,
    shares,
    largest,
    sentBytes: Math.max(...summands.map(sentBy)),
    wireBytes: summands.map(sentBy).reduce((sum, bytes) => sum + bytes, 0),
    heldBytes,
    peakBytes: plan.peakBytes(largest) + ownedBytes + heldBytes + exchanged,
  };
}

/** Seconds of the bytes of a step, in and out at one time. */
export const wireSeconds = ({ sentBytes }: PlannedRanks, gigabits: number) => (8 * sentBytes) / (1e9 * gigabits);
