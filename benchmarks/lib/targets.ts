/**
 * Bounds such as ">= 1.3" held against what was measured: met, not met, not measured.
 * The bounds: benchmarks/targets.json, and gpu/targets.ts for a GPU.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { quantile } from './measure';
import { type Figure, isMissing } from './result';

/** ">= 1.3", "<= 0.5" or "< 5". */
export type Bound = string;
export type Unit = 'x' | 'share' | 'ms';

export interface Target {
  name: string;
  /** The benchmark that measures it, with its options: "step", "linear --precision bf16". */
  run: string;
  /** Name among that benchmark's figures. */
  figure: string;
  unit: Unit;
  must: Bound;
  stretch: Bound;
  /** What is compared with what, where the name can not say it. */
  note?: string;
  /** Other bounds on processors whose best instruction set is this one. */
  on?: Partial<Record<string, { must: Bound; stretch: Bound }>>;
}

export type Verdict = 'stretch met' | 'met' | 'not met' | 'not measured';

export interface Judged extends Target {
  verdict: Verdict;
  measured?: number;
  /** Least and largest of several runs; `measured` is their median. */
  range?: [least: number, largest: number];
  /** Why it was not measured. */
  reason?: string;
}

const targetsFile = path.resolve(__dirname, '..', 'targets.json');

/** Instruction sets that add some products to another one, whose bounds hold elsewhere. */
const ADDS_TO: Readonly<Record<string, string>> = { avxvnni: 'avx2', avx512vnni: 'avx512', amx: 'avx512bf16' };

/** @param isa of this machine: `avx512bf16`, `avx512`, `avx2`, … */
export const readTargets = (isa: string): Target[] =>
  (JSON.parse(fs.readFileSync(targetsFile, 'utf8')) as { targets: Target[] }).targets.map((target) => ({
    ...target,
    ...(target.on?.[isa] ?? target.on?.[ADDS_TO[isa] ?? isa]),
  }));

/** Several runs of one benchmark as one: of each figure the median, and between what it lay. */
export function medianOf(runs: readonly Record<string, Figure>[]): {
  figures: Record<string, Figure>;
  ranges: Record<string, [least: number, largest: number]>;
} {
  const figures: Record<string, Figure> = {};
  const ranges: Record<string, [number, number]> = {};
  for (const name of Object.keys(runs[0] ?? {})) {
    const values = runs.map((run) => run[name]).filter((value) => typeof value === 'number');
    if (values.length < runs.length || runs.length === 1) {
      figures[name] = runs.map((run) => run[name] as Figure).find(isMissing) ?? (runs[0]?.[name] as Figure);
      continue;
    }
    values.sort((a, b) => a - b);
    figures[name] = quantile(values, 0.5);
    ranges[name] = [values[0] as number, values.at(-1) as number];
  }
  return { figures, ranges };
}

/** @throws Error for what is no bound. NaN reaches none. */
export function reaches(value: number, bound: Bound): boolean {
  const [, sign, number] = /^(>=|<=|<) (\d+(?:\.\d+)?)$/.exec(bound) ?? [];
  if (!sign) throw new Error(`"${bound}" is no bound; it must be like ">= 1.3", "<= 0.5" or "< 5"`);
  const limit = Number(number);
  if (sign === '>=') return value >= limit;
  return sign === '<=' ? value <= limit : value < limit;
}

/**
 * @param figures of each run by its text: what it measured, or one reason why it measured nothing.
 */
export function judge(
  targets: readonly Target[],
  figures: ReadonlyMap<string, Record<string, Figure> | { missing: string }>,
): Judged[] {
  return targets.map((target) => {
    const run = figures.get(target.run) ?? { missing: `bench:${target.run} was not run` };
    const figure: Figure = isMissing(run)
      ? run
      : target.figure in run
        ? (run[target.figure] as Figure)
        : { missing: `bench:${target.run} gave no ${target.figure}` };
    if (isMissing(figure)) return { ...target, verdict: 'not measured', reason: figure.missing };
    // JSON writes NaN as null: a ratio of something that did not run.
    if (!Number.isFinite(figure)) return { ...target, verdict: 'not measured', reason: 'the figure is no number' };
    const met = reaches(figure, target.must);
    const verdict = met && reaches(figure, target.stretch) ? 'stretch met' : met ? 'met' : 'not met';
    return { ...target, verdict, measured: figure };
  });
}

const bound = (text: Bound, unit: Unit) =>
  unit === 'share' ? text.replace(/[\d.]+/, (n) => String(Math.round(Number(n) * 1000) / 10)) : text;
const suffix: Record<Unit, string> = { x: ' x', share: ' %', ms: ' ms' };

export function formatMeasured({ measured, unit }: Judged): string {
  if (measured === undefined) return '-';
  return unit === 'share' ? `${(measured * 100).toFixed(1)} %` : `${measured.toPrecision(3)}${suffix[unit]}`;
}

/** Least and largest of several runs: " [0.70 1.17]". */
const rangeOf = ({ range, unit }: Judged): string => {
  if (!range) return '';
  const [least, largest] = range.map((x) => (unit === 'share' ? (100 * x).toFixed(1) : x.toPrecision(3)));
  return ` [${least} ${largest}]`;
};

export const judgedHeader = ['name', 'measured', 'must', 'stretch', ''];

export const judgedRow = (row: Judged): string[] => [
  row.name,
  formatMeasured(row) + rangeOf(row),
  bound(row.must, row.unit) + suffix[row.unit],
  bound(row.stretch, row.unit) + suffix[row.unit],
  row.reason ? `${row.verdict}: ${row.reason}` : row.verdict,
];

/** "9 of 27 met (4 of them the stretch bound), 3 not met, 15 not measured". */
export function summaryOf(rows: readonly Judged[]): string {
  const count = (...verdicts: Verdict[]) => rows.filter(({ verdict }) => verdicts.includes(verdict)).length;
  return (
    `${count('met', 'stretch met')} of ${rows.length} met (${count('stretch met')} of them the stretch bound), ` +
    `${count('not met')} not met, ${count('not measured')} not measured`
  );
}
