/**
 * Finds the results of earlier runs in a folder, so that a page or a check needs no new ones.
 * What a result is: result.ts. What it should reach: targets.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { resultFolder } from './folders';
import type { Figure, Result } from './result';
import { type Judged, judge, readTargets } from './targets';

/** In the order in which the suite runs. */
export const SUITE = ['linear', 'step', 'methods', 'scale', 'load', 'predict', 'adapters'] as const;

/** The run that a file is of: "linear-bf16.json" is that of "linear --precision bf16". */
const runOf = (file: string, { benchmark }: Result) =>
  path.basename(file) === `${benchmark}-bf16.json` ? `${benchmark} --precision bf16` : benchmark;

export interface Collected {
  results: Result[];
  judged: Judged[];
}

/** @throws Error naming a file that is no result. */
export function collect(files: readonly string[]): Collected {
  const read = files.map((file) => {
    const result = JSON.parse(fs.readFileSync(file, 'utf8')) as Result;
    if (!Array.isArray(result.sections) || typeof result.benchmark !== 'string') {
      throw new Error(`${file} is no result of a benchmark (written by --json)`);
    }
    return { file, result };
  });
  const place = ({ result }: { result: Result }) => {
    const at = (SUITE as readonly string[]).indexOf(result.benchmark);
    return at < 0 ? SUITE.length : at;
  };
  read.sort((a, b) => place(a) - place(b));
  // Other models have other figures under the same names.
  const ofTargets = read.filter(({ result }) => result.model === undefined);
  const figures = new Map<string, Record<string, Figure>>();
  for (const { file, result } of ofTargets) {
    figures.set(runOf(file, result), result.figures);
  }
  return {
    results: read.map(({ result }) => result),
    judged: ofTargets.length > 0 ? judge(readTargets(ofTargets[0]?.result.machine.isa ?? ''), figures) : [],
  };
}

export function resultFiles(folder = resultFolder): string[] {
  if (!fs.existsSync(folder)) return [];
  const names = fs.readdirSync(folder).filter((name) => name.endsWith('.json') && name !== 'check.json');
  return names.sort().map((name) => path.join(folder, name));
}
