/** Samplers against known optima, and stopping against Optuna's decisions on stored curves. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { RandomStream } from '../../src/base/philox';
import { stops } from '../../src/study/search/asha';
import { quasiRandomPoint } from '../../src/study/search/quasi_random';
import { type Outcome, type SamplerName, sample } from '../../src/study/search/sampler';
import { suggest } from '../../src/study/search/tpe';
import { resolveSpace } from '../../src/study/space/space';

interface Stored {
  curves: number[][];
  runs: {
    direction: string;
    reductionFactor: number;
    firstRung: number;
    stoppedAt: (number | null)[];
    best: number;
  }[];
}

const stored = JSON.parse(
  fs.readFileSync(path.join(__dirname, '..', 'fixtures', 'study', 'asha.json'), 'utf8'),
) as Stored;

test.each(stored.runs)(
  'stops trials where Optuna does: $direction, factor $reductionFactor from evaluation $firstRung',
  ({ direction, reductionFactor, firstRung, stoppedAt }) => {
    const before: Map<number, number>[] = [];
    const own = stored.curves.map((curve) => {
      const reports = new Map<number, number>();
      let at: number | null = null;
      for (const [i, value] of curve.entries()) {
        reports.set(i + 1, value);
        if (!stops(reports, before, direction === 'maximize', { reductionFactor, firstRung })) continue;
        at = i + 1;
        break;
      }
      before.push(reports);
      return at;
    });
    expect(own).toEqual(stoppedAt);
    expect(own.some((at) => at !== null)).toBe(true);
  },
);

test('a trial whose value is no number is stopped at the next rung', () => {
  expect(stops(new Map([[1, Number.NaN]]), [], true)).toBe(true);
  expect(stops(new Map([[2, Number.NaN]]), [], true, { firstRung: 3 })).toBe(false);
});

const SPACE = resolveSpace({
  rate: { loguniform: [1e-5, 1e-1] },
  width: { int: [1, 64] },
  share: { uniform: [0, 1] },
  kind: { choice: ['a', 'b', 'c', 'd'] },
});

/** 0 at rate 1e-3, width 40, share 0.25, kind c. */
function loss(values: ReadonlyMap<string, unknown>): number {
  const [rate, width, share] = ['rate', 'width', 'share'].map((name) => values.get(name) as number) as [
    number,
    number,
    number,
  ];
  return (
    ((Math.log10(rate) + 3) / 2) ** 2 +
    ((width - 40) / 20) ** 2 +
    (2 * (share - 0.25)) ** 2 +
    (values.get('kind') === 'c' ? 0 : 0.5)
  );
}

function bestAfter(trials: number, seed: number, sampler: SamplerName): number {
  const outcomes: Outcome[] = [];
  for (let index = 0; index < trials; index++) {
    const chosen = sample({
      space: SPACE,
      given: new Map(),
      ...{ index, outcomes, maximize: false, seed, stream: 0, sampler, startup: 10 },
    });
    const value = loss(new Map(chosen.map((one) => [one.name, one.value])));
    outcomes.push({ params: new Map(chosen.map((one) => [one.name, one.internal])), value, stopped: undefined });
  }
  return Math.min(...outcomes.map(({ value }) => value as number));
}

test('TPE comes nearer to a known optimum than points that learn nothing', () => {
  const seeds = [0, 1, 2, 3, 4];
  const mean = (sampler: SamplerName) =>
    seeds.reduce((sum, seed) => sum + bestAfter(40, seed, sampler), 0) / seeds.length;
  const [tpe, quasiRandom] = [mean('tpe'), mean('quasi-random')];
  expect(tpe).toBeLessThan(0.15);
  expect(tpe).toBeLessThan(quasiRandom / 2);
});

test('a choice that was better is taken more often, and none is forgotten', () => {
  const distribution = { kind: 'categorical' as const, choices: ['a', 'b', 'c'] };
  const taken = [0, 0, 0];
  for (let i = 0; i < 200; i++) {
    const choice = suggest(distribution, [2, 2, 2, 1], [0, 0, 1, 1, 0, 2], new RandomStream(1, 7, i));
    taken[choice] = (taken[choice] as number) + 1;
  }
  expect(taken[2]).toBeGreaterThan(150);
});

test('every suggestion lies in its range, on its steps', () => {
  const [rate, steps] = [
    resolveSpace({ x: { loguniform: [1e-5, 1e-3] } })[0]!.distribution,
    resolveSpace({ x: { int: [2, 21], step: 4 } })[0]!.distribution,
  ];
  for (let i = 0; i < 200; i++) {
    const x = suggest(rate, [1e-5, 1e-3], [1e-4], new RandomStream(2, 7, i));
    expect(x).toBeGreaterThanOrEqual(1e-5);
    expect(x).toBeLessThanOrEqual(1e-3);
    expect([2, 6, 10, 14, 18]).toContain(suggest(steps, [18, 2], [6], new RandomStream(3, 7, i)));
  }
});

test('quasi-random points fill every cell of a square', () => {
  const cells = new Set<number>();
  for (let i = 0; i < 160; i++) {
    const [x, y] = quasiRandomPoint(i, 2, 5) as [number, number];
    cells.add(8 * Math.floor(8 * x) + Math.floor(8 * y));
  }
  expect(cells.size).toBe(64);
  expect(quasiRandomPoint(3, 2, 5)).toEqual(quasiRandomPoint(3, 2, 5));
  expect(quasiRandomPoint(3, 2, 5)).not.toEqual(quasiRandomPoint(3, 2, 6));
});
