/**
 * Shares of a batch: parts of fixed number that are computed by themselves and whose gradients are
 * summed in their order. Which sequences are in which share, and which rank computes which, is a
 * fixed rule here; sums are sum_gradients.ts.
 */

/** One of the parts of a batch. */
export interface Share {
  /** From 0. */
  index: number;
  count: number;
}

/**
 * Every count-th sequence, from the index on: sequences of a batch are sorted by length, so that
 * shares have about as many tokens. A share of a batch with fewer sequences than shares may be
 * empty.
 */
export function shareOf(sequences: Int32Array, { index, count }: Share): Int32Array {
  return sequences.filter((_, i) => i % count === index);
}

/** The shares of a rank, one after the other: [first, end). */
export function sharesOfRank(rank: number, size: number, shares: number): { first: number; end: number } {
  return { first: Math.floor((rank * shares) / size), end: Math.floor(((rank + 1) * shares) / size) };
}

/**
 * Of each rank, how many gradients it gives to the sum: one for each of its shares that has rows,
 * but the first rank that has any adds its own before.
 *
 * @param counts of each share, whether it has rows: 1 or 0.
 */
export function summandsOf(size: number, counts: readonly number[]): number[] {
  const all = Array.from({ length: size }, (_, rank) => {
    const { first, end } = sharesOfRank(rank, size, counts.length);
    return counts.slice(first, end).reduce((sum, one) => sum + one, 0);
  });
  const first = all.findIndex((count) => count > 0);
  return all.map((count, rank) => (rank === first ? 1 : count));
}
