/**
 * Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): 128 random bits as a pure function of a
 * 128-bit counter and a 64-bit key. All randomness of the data side comes from here, so that order, masks and synthetic text are
 * functions of the seed alone, the same on every machine and after a resume.
 */

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;

/** Upper 32 bits of the 64-bit product of two unsigned 32-bit numbers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  // Every partial sum stays below 2^53.
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle % 0x10000);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}

/**
 * One block of 128 random bits.
 *
 * @param counter [4] unsigned 32-bit words.
 * @param key [2] unsigned 32-bit words.
 * @returns [4] unsigned 32-bit words.
 */
export function philox4x32(counter: ArrayLike<number>, key: ArrayLike<number>): Uint32Array {
  let [c0, c1, c2, c3] = [counter[0]! >>> 0, counter[1]! >>> 0, counter[2]! >>> 0, counter[3]! >>> 0];
  let [k0, k1] = [key[0]! >>> 0, key[1]! >>> 0];
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  return Uint32Array.of(c0, c1, c2, c3);
}

/** What a stream of random numbers is for: streams of one seed and different sites never share numbers. */
export const RANDOM_SITE = { shuffle: 1, shuffleBatches: 2, masking: 3, synthetic: 4, split: 5 } as const;

/** A stream of random numbers: key = seed, counter = (block, a, b, site). */
export class RandomStream {
  private readonly key: [number, number];
  private block: Uint32Array = new Uint32Array(4);
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
    this.key = [seed >>> 0, Math.floor(seed / 0x100000000) >>> 0];
  }

  /** An unsigned 32-bit integer. */
  uint32(): number {
    if (this.used === 4) {
      this.block = philox4x32([this.next++, this.a, this.b, this.site], this.key);
      this.used = 0;
    }
    return this.block[this.used++]!;
  }

  /** A number in [0, 1), a multiple of 2^-32. */
  uniform(): number {
    return this.uint32() * 2 ** -32;
  }

  /** An integer in [0, n), every one equally likely (numbers that would favour the small ones are drawn again). */
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
