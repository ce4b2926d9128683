import * as fs from 'node:fs';
import * as path from 'node:path';
import type { Figure } from '../../benchmarks/lib/result';
import {
  formatMeasured,
  judge,
  judgedRow,
  medianOf,
  reaches,
  readTargets,
  summaryOf,
  type Target,
} from '../../benchmarks/lib/targets';

const target = (figure: string, must: string, stretch: string, unit: Target['unit'] = 'x'): Target => ({
  name: `the ${figure}`,
  run: 'step',
  figure,
  unit,
  must,
  stretch,
});

test('bounds', () => {
  expect(reaches(1.3, '>= 1.3')).toBe(true);
  expect(reaches(1.29, '>= 1.3')).toBe(false);
  expect(reaches(0.5, '<= 0.5')).toBe(true);
  expect(reaches(0.51, '<= 0.5')).toBe(false);
  expect(reaches(5, '< 5')).toBe(false);
  expect(reaches(4.99, '< 5')).toBe(true);
  expect(reaches(Number.NaN, '< 5')).toBe(false);
  expect(() => reaches(1, '= 1')).toThrow('is no bound');
});

test('each row is met, met with the stretch bound, not met or not measured', () => {
  const targets = [
    target('fast', '>= 1.3', '>= 1.45'),
    target('faster', '>= 1.3', '>= 1.45'),
    target('slow', '>= 1.3', '>= 1.45'),
    target('absent', '>= 1.3', '>= 1.45'),
    target('broken', '>= 1.3', '>= 1.45'),
    target('forgotten', '>= 1.3', '>= 1.45'),
    { ...target('elsewhere', '< 5', '< 2', 'ms'), run: 'linear --precision bf16' },
    { ...target('unrun', '< 5', '< 2', 'ms'), run: 'load' },
  ];
  // JSON has null for NaN.
  const broken = null as unknown as number;
  const step: Record<string, Figure> = { fast: 1.4, faster: 1.5, slow: 1.2, absent: { missing: 'no peer' }, broken };
  const rows = judge(
    targets,
    new Map<string, Record<string, Figure> | { missing: string }>([
      ['step', step],
      ['linear --precision bf16', { missing: 'no AVX512_BF16' }],
    ]),
  );
  expect(rows.map(({ verdict }) => verdict)).toEqual([
    'met',
    'stretch met',
    'not met',
    ...new Array<string>(5).fill('not measured'),
  ]);
  expect(rows.slice(3).map(({ reason }) => reason)).toEqual([
    'no peer',
    'the figure is no number',
    'bench:step gave no forgotten',
    'no AVX512_BF16',
    'bench:load was not run',
  ]);
  expect(summaryOf(rows)).toBe('2 of 8 met (1 of them the stretch bound), 1 not met, 5 not measured');
  expect(judgedRow(rows[0]!)).toEqual(['the fast', '1.40 x', '>= 1.3 x', '>= 1.45 x', 'met']);
  expect(judgedRow(rows[6]!)).toEqual(['the elsewhere', '-', '< 5 ms', '< 2 ms', 'not measured: no AVX512_BF16']);
});

test('shares are written in per cent', () => {
  const [row] = judge([target('share', '>= 0.88', '>= 0.945', 'share')], new Map([['step', { share: 0.9 }]]));
  expect(formatMeasured(row!)).toBe('90.0 %');
  expect(judgedRow(row!).slice(2)).toEqual(['>= 88 %', '>= 94.5 %', 'met']);
});

test('a row of several runs has their median, and shows between what it lay', () => {
  const missing = { missing: 'no peer' };
  const runs = [
    { fast: 1.2, absent: missing },
    { fast: 1.6, absent: missing },
    { fast: 1.3, absent: missing },
  ];
  const { figures, ranges } = medianOf(runs);
  expect(figures).toEqual({ fast: 1.3, absent: missing });
  expect(ranges).toEqual({ fast: [1.2, 1.6] });
  expect(medianOf(runs.slice(0, 1)).ranges).toEqual({});
  const [row] = judge([target('fast', '>= 1.3', '>= 1.45')], new Map([['step', figures]]));
  expect(judgedRow({ ...row!, range: ranges['fast']! }).slice(0, 2)).toEqual(['the fast', '1.30 x [1.20 1.60]']);
});

test('bounds are those of the instruction set', () => {
  const rank64 = (isa: string) => readTargets(isa).find(({ figure }) => figure === 'linear.backwardOverBase.rank64');
  expect(rank64('avx512bf16')?.must).toBe('<= 1.38');
  expect(rank64('avx2')?.must).toBe('<= 1.30');
  expect(rank64('amx')?.must).toBe('<= 1.38');
  expect(readTargets('amx').find(({ figure }) => figure === 'linear.productOverOnednnBf16')?.must).toBe('>= 0.9');
});

describe.each(['avx512bf16', 'avx2', 'amx'])('targets.json on %s', (isa) => {
  const targets = readTargets(isa);

  test('has bounds that can be read, the stretch bound at least as hard as the other, and names of its own', () => {
    expect(targets.length).toBeGreaterThan(0);
    expect(new Set(targets.map(({ name }) => name)).size).toBe(targets.length);
    for (const { must, stretch } of targets) {
      const limit = Number(stretch.split(' ')[1]);
      // What just reaches the stretch bound reaches the other.
      expect(reaches(stretch.startsWith('<') ? limit - 1e-9 : limit, must)).toBe(true);
      expect(must.split(' ')[0]).toBe(stretch.split(' ')[0]);
    }
  });

  test('names benchmarks that there are', () => {
    for (const { run } of targets) {
      const file = path.resolve(__dirname, '../../benchmarks', `${run.split(' ')[0]}.ts`);
      expect(fs.existsSync(file)).toBe(true);
    }
  });
});
