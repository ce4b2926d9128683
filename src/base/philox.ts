/**
 * Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): four
 * random words as a pure function of a counter of four words and a key of two; the same generator
 * as native/runtime/philox.h. Order, masks, synthetic text and initial values come from here, so
 * they are functions of the seed alone, the same on every machine and after a resume.
 */

const { imul } = Math;

/** High word of the 64-bit product of two unsigned 32-bit numbers; the low word is `imul`. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  // Each sum stays below 2^32, as unsigned 32-bit arithmetic needs it.
  const middle = (imul(aHigh, bLow) >>> 0) + (imul(aLow, bLow) >>> 16);
  const carry = (imul(aLow, bHigh) >>> 0) + (middle & 0xffff);
  return (imul(aHigh, bHigh) + (middle >>> 16) + (carry >>> 16)) | 0;
}

/**
 * Four random words, written to `out[0..3]`.
 *
 * @param c0 to c3: the counter; k0, k1: the key; all 32-bit numbers.
 */
export function philox(c0: number, c1: number, c2: number, c3: number, k0: number, k1: number, out: Uint32Array): void {
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0);
    const high1 = multiplyHigh(0xcd9e8d57, c2);
    const low0 = imul(0xd2511f53, c0);
    const low1 = imul(0xcd9e8d57, c2);
    c0 = high1 ^ c1 ^ k0;
    c2 = high0 ^ c3 ^ k1;
    c1 = low1;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** A seed (integer, 0 to 2^53 - 1) as the two words of a key: low, high. */
export function keyOfSeed(seed: number): [number, number] {
  return [seed >>> 0, Math.floor(seed / 4294967296) >>> 0];
}

/**
 * What a stream of random numbers is for: streams of one seed and different sites never share
 * numbers.
 */
export const RANDOM_SITE = {
  shuffle: 1,
  shuffleBatches: 2,
  masking: 3,
  synthetic: 4,
  split: 5,
  pruning: 6,
  study: 7,
} as const;

/** A stream of random numbers: key = seed, counter = (block, a, b, site). */
export class RandomStream {
  private readonly key: [number, number];
  private readonly block: Uint32Array = new Uint32Array(4);
  private used = 4;
  private next = 0;

  /**
   * @param seed an integer from 0 to 2^53 - 1.
   * @param site one of {@link RANDOM_SITE}.
   * @param a first index of the stream, e.g. the epoch.
   * @param b second index of the stream, e.g. the example.
   */
  constructor(
    seed: number,
    private readonly site: number,
    private readonly a = 0,
    private readonly b = 0,
  ) {
    this.key = keyOfSeed(seed);
  }

  /** An unsigned 32-bit integer. */
  uint32(): number {
    if (this.used === 4) {
      philox(this.next++, this.a, this.b, this.site, ...this.key, this.block);
      this.used = 0;
    }
    return this.block[this.used++]!;
  }

  /** A number in [0, 1), a multiple of 2^-32. */
  uniform(): number {
    return this.uint32() * 2 ** -32;
  }

  /**
   * An integer in [0, n), every one equally likely (numbers that would favour the small ones are
   * drawn again).
   */
  below(n: number): number {
    const limit = 0x100000000 - (0x100000000 % n);
    for (;;) {
      const x = this.uint32();
      if (x < limit) return x % n;
    }
  }

  /** One of the items. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  /** Permutes in place (Fisher and Yates) and returns its argument. */
  shuffle<T extends unknown[] | Int32Array>(items: T): T {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const x = items[i]!;
      items[i] = items[j]!;
      items[j] = x;
    }
    return items;
  }
}
