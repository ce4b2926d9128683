/**
 * Bounds such as ">= 1.3" held against what was measured: met, not met, not measured.
 * The bounds: benchmarks/targets.json, and gpu/targets.ts for a GPU.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
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
}

export type Verdict = 'stretch met' | 'met' | 'not met' | 'not measured';

export interface Judged extends Target {
  verdict: Verdict;
  measured?: number;
  /** Why it was not measured. */
  reason?: string;
}

const targetsFile = path.resolve(__dirname, '..', 'targets.json');

export const readTargets = (): Target[] =>
  (JSON.parse(fs.readFileSync(targetsFile, 'utf8')) as { targets: Target[] }).targets;

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

export const judgedHeader = ['name', 'measured', 'must', 'stretch', ''];

export const judgedRow = (row: Judged): string[] => [
  row.name,
  formatMeasured(row),
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
