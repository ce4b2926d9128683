/** Tests of differences: against scipy's values, and on differences that are known. */
import { RandomStream } from '../../src/base/philox';
import { mcNemar, meanAndDeviation, pairedBootstrap } from '../../src/metrics/significance';
import { errorMessage } from '../io/temporary';

/** `scipy.stats.binomtest(b, b + c).pvalue`, scipy 1.17.1. */
const SCIPY = [
  [0, 1, 1.0],
  [3, 0, 0.25],
  [5, 2, 0.453125],
  [10, 10, 1.0],
  [40, 25, 0.08168153394154003],
  [300, 220, 0.0005194158496652906],
  [900, 1000, 0.023108845108901193],
] as const;

test.each(SCIPY)("McNemar's test of %i and %i examples gives scipy's p", (b, c, p) => {
  const first = [...new Array<boolean>(b).fill(true), ...new Array<boolean>(c).fill(false), true, false];
  const second = [...new Array<boolean>(b).fill(false), ...new Array<boolean>(c).fill(true), true, false];
  const test = mcNemar(first, second);
  expect(test).toMatchObject({ onlyFirst: b, onlySecond: c });
  expect(Math.abs(test.p - p)).toBeLessThanOrEqual(1e-12 + 1e-9 * p);
});

test('lists of other lengths are refused', () => {
  expect(errorMessage('INVALID_SHAPE', () => mcNemar([true], []))).toContain('1 and 0');
});

test('the paired bootstrap covers a known difference, and calls none what is none', () => {
  const random = new RandomStream(5, 7);
  const differs = Array.from({ length: 300 }, (): number => (random.uniform() < 0.2 ? 1 : 0));
  const mean = (values: readonly number[]) => (sample: Int32Array) =>
    sample.reduce((sum, i) => sum + (values[i] as number), 0) / sample.length;
  const found = pairedBootstrap(300, mean(differs));
  expect(found.difference).toBeCloseTo(differs.reduce((a, b) => a + b, 0) / 300, 12);
  // The normal interval of a share, to a tenth of its width.
  const half = 1.96 * Math.sqrt((found.difference * (1 - found.difference)) / 300);
  expect(Math.abs(found.low - (found.difference - half))).toBeLessThan(0.2 * half);
  expect(Math.abs(found.high - (found.difference + half))).toBeLessThan(0.2 * half);
  expect(found.p).toBeLessThan(0.01);
  const signs = Array.from({ length: 300 }, (_, i) => (i % 2 === 0 ? 1 : -1));
  expect(pairedBootstrap(300, mean(signs)).p).toBeGreaterThan(0.5);
  expect(pairedBootstrap(300, mean(differs))).toEqual(found);
});

test('mean and deviation', () => {
  expect(meanAndDeviation([1, 2, 3, 4])).toEqual({ mean: 2.5, deviation: Math.sqrt(5 / 3), count: 4 });
  expect(meanAndDeviation([0.5])).toEqual({ mean: 0.5, deviation: 0, count: 1 });
});
