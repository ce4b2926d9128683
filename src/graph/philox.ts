/**
 * Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11), the same generator as
 * native/runtime/philox.h: four random words are a function of a counter of four words and a key of two.
 */

/** High and low word of the 64-bit product of two unsigned 32-bit numbers. */
function multiply(a: number, b: number, out: { high: number; low: number }): void {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const low = aLow * bLow;
  const middle = aHigh * bLow + (low >>> 16);
  const middle2 = aLow * bHigh + (middle & 0xffff);
  // Each sum stays below 2^32, so plain numbers hold it exactly.
  out.high = (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(middle2 / 65536)) >>> 0;
  out.low = Math.imul(a, b) >>> 0;
}

const first = { high: 0, low: 0 };
const second = { high: 0, low: 0 };

/**
 * Four random words, written to `out[0..3]`.
 *
 * @param c0 to c3: the counter; k0, k1: the key; all unsigned 32-bit numbers.
 */
export function philox(c0: number, c1: number, c2: number, c3: number, k0: number, k1: number, out: Uint32Array): void {
  for (let round = 0; round < 10; round++) {
    multiply(0xd2511f53, c0, first);
    multiply(0xcd9e8d57, c2, second);
    c0 = (second.high ^ c1 ^ k0) >>> 0;
    c2 = (first.high ^ c3 ^ k1) >>> 0;
    c1 = second.low;
    c3 = first.low;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
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
