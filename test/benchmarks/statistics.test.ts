import { cut, sst2Lengths } from '../../benchmarks/lib/batches';
import { fitLine, fitPower } from '../../benchmarks/lib/fit';
import {
  compareSamples,
  disagreement,
  geometricMean,
  interleave,
  quantile,
  summarize,
} from '../../benchmarks/lib/measure';
import { profileByOp } from '../../benchmarks/lib/op_profile';

test('quantiles are interpolated, as numpy has them', () => {
  expect(quantile([1, 2, 3, 4], 0.5)).toBe(2.5);
  expect(quantile([1, 2, 3, 4], 0)).toBe(1);
  expect(quantile([1, 2, 3, 4], 1)).toBe(4);
  expect(quantile([10], 0.9)).toBe(10);
  const { median, p10, p90 } = summarize([5, 1, 4, 2, 3]);
  expect(median).toBe(3);
  expect(p10).toBeCloseTo(1.4, 12);
  expect(p90).toBeCloseTo(4.6, 12);
});

test('ratios are medians of the ratios round by round, not ratios of medians', () => {
  const { a, b } = compareSamples({ a: [1, 2, 10], b: [2, 2, 5] });
  expect(a.ratio).toBe(1);
  expect(b.ratio).toBe(1); // of 2, 1 and 0.5
  expect(b.median).toBe(2);
});

test('rounds that disagree are told from such that do not', () => {
  compareSamples({ a: [1, 1, 1], b: [2, 2, 2] });
  const before = disagreement();
  for (let i = 0; i < 9; i++) compareSamples({ a: [1, 1, 1], b: [1, 2, 3] });
  expect(before).toBeLessThan(0.8);
  expect(disagreement()).toBeCloseTo(0.8, 12); // (2.8 - 1.2) / 2
});

test('sides take turns, and warm-up rounds do not count', async () => {
  const order: string[] = [];
  let calls = 0;
  const timings = await interleave(
    {
      first: async () => {
        order.push('first');
        return ++calls === 1 ? 100 : 1;
      },
      second: async () => {
        order.push('second');
        return 3;
      },
    },
    { rounds: 2, warmup: 1 },
  );
  expect(order).toEqual(['first', 'second', 'first', 'second', 'first', 'second']);
  expect(timings.first).toEqual({ median: 1, p10: 1, p90: 1, ratio: 1 });
  expect(timings.second.ratio).toBe(3);
});

test('geometric mean', () => {
  expect(geometricMean([1, 4])).toBeCloseTo(2, 12);
  expect(geometricMean([0.5, 2, 1])).toBeCloseTo(1, 12);
});

test('fits find the line and the exponent that made the points', () => {
  const line = fitLine([1, 2, 5].map((x) => ({ x, y: 3 + 0.5 * x })));
  expect(line.intercept).toBeCloseTo(3, 12);
  expect(line.slope).toBeCloseTo(0.5, 12);
  expect(line.r2).toBeCloseTo(1, 12);
  const power = fitPower([16, 64, 512].map((x) => ({ x, y: 0.25 * x ** 1.5 })));
  expect(power.exponent).toBeCloseTo(1.5, 12);
  expect(power.factor).toBeCloseTo(0.25, 12);
  expect(power.r2).toBeCloseTo(1, 12);
});

test('a fit says how much it leaves unexplained', () => {
  // By hand: slope 0.5, intercept 2/3; squares left 1/6 of 2/3.
  const { slope, intercept, r2 } = fitLine([
    { x: 1, y: 1 },
    { x: 2, y: 2 },
    { x: 3, y: 2 },
  ]);
  expect(slope).toBeCloseTo(0.5, 12);
  expect(intercept).toBeCloseTo(2 / 3, 12);
  expect(r2).toBeCloseTo(0.75, 12);
  const flat = [
    { x: 1, y: 7 },
    { x: 2, y: 7 },
  ];
  expect(fitLine(flat)).toEqual({ slope: 0, intercept: 7, r2: 1 });
});

test('fits refuse what has no answer', () => {
  expect(() => fitLine([{ x: 1, y: 1 }])).toThrow(RangeError);
  expect(() => fitLine([])).toThrow(RangeError);
  expect(() =>
    fitPower([
      { x: 1, y: 1 },
      { x: 2, y: 0 },
    ]),
  ).toThrow('(2, 0)');
});

test('the profile adds instructions up by op and holds them against the slower of arithmetic and memory', () => {
  const instructions = [
    { op: 'add', seconds: 1, flops: 1, bytes: 10 },
    { op: 'loraLinear', seconds: 2, flops: 100, bytes: 1 },
    { op: 'loraLinear', seconds: 3, flops: 100, bytes: 1 },
  ];
  const peaks = { fp32: 50, bf16: 100, bandwidth: 20 };
  const fp32 = profileByOp(instructions, 'fp32', peaks);
  expect(fp32.map(({ op, count, seconds }) => [op, count, seconds])).toEqual([
    ['loraLinear', 2, 5],
    ['add', 1, 1],
  ]);
  expect(fp32[0]?.roofline).toBeCloseTo(4 / 5, 12);
  expect(fp32[1]?.roofline).toBeCloseTo(0.5, 12);
  // Only products run in bf16.
  const bf16 = profileByOp(instructions, 'bf16', peaks);
  expect(bf16[0]?.roofline).toBeCloseTo(2 / 5, 12);
  expect(bf16[1]?.roofline).toBeCloseTo(0.5, 12);
});

test("SST-2's lengths keep their proportions", () => {
  const lengths = sst2Lengths(1000);
  expect(lengths).toHaveLength(1000);
  const sorted = [...lengths].sort((a, b) => a - b);
  expect(sorted[0]).toBe(3);
  expect(sorted[500]).toBe(10);
  expect(Math.max(...lengths)).toBeLessThanOrEqual(66);
  expect(
    cut(
      lengths.map((n) => ({ ids: [n], label: 0 })),
      32,
    ).map((batch) => batch.length),
  ).toEqual([...new Array<number>(31).fill(32), 8]);
});
