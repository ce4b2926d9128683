/**
 * What a benchmark gives: sections for people (console, HTML),
 * figures by name for `targets.json`, raw rows for machines.
 * Written by main.ts, gathered again by collect.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { resultFolder } from './folders';
import type { ModelName } from './models';
import { type MachineFacts, printTable } from './report';

/** A figure that could not be measured here, and why. */
export interface Missing {
  missing: string;
}
export type Figure = number | Missing;

export const isMissing = (value: unknown): value is Missing =>
  typeof value === 'object' && value !== null && 'missing' in value;

/** Lines over x, or bars by category. */
export interface Plot {
  kind: 'lines' | 'bars';
  /** Of the y axis. */
  unit: string;
  /** Of the x axis of lines. */
  xUnit?: string;
  /** Both axes of lines logarithmic. */
  log?: boolean;
  series: { name: string; points: { x: number | string; y: number }[] }[];
}

export interface Section {
  title: string;
  /** What was held equal, what the numbers mean. */
  note?: string;
  header: string[];
  rows: string[][];
  plot?: Plot;
}

export interface Result {
  benchmark: string;
  question: string;
  quick: boolean;
  /** Where --model replaced the benchmark's models: figures are not those of targets.json. */
  model?: ModelName;
  machine: MachineFacts;
  /** Versions and settings of what it was measured against. */
  peers: Record<string, unknown>;
  figures: Record<string, Figure>;
  /** How far rounds disagree (measure.ts), as a share. */
  disagreement?: number;
  sections: Section[];
  rows: unknown[];
}

export interface BenchmarkOptions {
  /** Fewer sizes and rounds: whether it runs and roughly what comes out. */
  quick: boolean;
  device: 'cpu' | 'cuda';
  /** Measure no more than targets.json needs. */
  targets?: boolean;
  /** In place of the models that the benchmark takes. */
  model?: ModelName;
}

export interface Benchmark {
  name: string;
  /** In one line, as --help and the report show it. */
  question: string;
  /** No Python peer takes part. Default false. */
  alone?: boolean;
  run(
    options: BenchmarkOptions,
  ): Promise<Omit<Result, 'benchmark' | 'question' | 'quick' | 'model' | 'machine' | 'disagreement'>>;
}

export function printSection({ title, note, header, rows }: Section): void {
  console.log(`\n${title}${note ? `\n${note}` : ''}`);
  printTable(header, rows);
}

export function printResult(result: Result): void {
  for (const section of result.sections) printSection(section);
  const names = Object.keys(result.figures);
  if (names.length === 0) return;
  console.log('\nfigures');
  for (const name of names) console.log(`  ${name.padEnd(44)} ${formatFigure(result.figures[name] as Figure)}`);
}

export function formatFigure(figure: Figure): string {
  return isMissing(figure) ? `not measurable here: ${figure.missing}` : String(Number(figure.toPrecision(4)));
}

export function writeResult(result: Result, file: string): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
}

export const resultFile = (benchmark: string) => path.join(resultFolder, `${benchmark}.json`);
