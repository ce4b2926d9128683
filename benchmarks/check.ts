/**
 * Which of the figures to reach (targets.json) does this machine
 * reach? Runs the benchmarks that they need, one line a row.
 * The bounds: benchmarks/targets.json, judged by lib/targets.ts.
 *
 *   npm run bench:check -- [--quick] [--json FILE]
 *
 * A benchmark whose rounds disagree by more than 10 % is run again, up to three times in all: each
 * row then shows the median and between what it lay.
 * Exit code 1 when a measured row misses its bound or a benchmark fails. What can not be measured
 * here is said, and counts as neither.
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { runBenchmark } from './lib/commands';
import { resultFolder } from './lib/folders';
import { start } from './lib/main';
import { ourBf16Missing } from './lib/precision';
import { machineFacts, printTable } from './lib/report';
import { type Figure, isMissing, type Missing } from './lib/result';
import { type Judged, judge, judgedHeader, judgedRow, medianOf, readTargets, summaryOf } from './lib/targets';
import { BLAS_VARIABLE, chooseBlas } from './lib/torch_blas';

type Figures = Record<string, Figure> | Missing;
type Ranges = Map<string, Record<string, [number, number]>>;

/** Share by which rounds may disagree. */
const AGREE = 0.1;
const MOST_RUNS = 3;

/** Runs a benchmark, again where its rounds disagree. */
async function measureOne(run: string, options: readonly string[], json: string): Promise<Record<string, Figure>[]> {
  const runs: Record<string, Figure>[] = [];
  for (;;) {
    const { figures, disagreement = 0 } = await runBenchmark(run, options, json, false);
    runs.push(figures);
    if (disagreement <= AGREE || runs.length === MOST_RUNS) return runs;
    process.stderr.write(`rounds disagree by ${(100 * disagreement).toFixed(0)} %, once more … `);
  }
}

/**
 * Of all runs that the targets need, one after the other;
 * `save` is called after each, with what is there so far.
 */
async function measureAll(
  runs: readonly string[],
  quick: boolean,
  save: (figures: Map<string, Figures>, ranges: Ranges) => void,
) {
  const figures = new Map<string, Figures>();
  const ranges: Ranges = new Map();
  const failed: string[] = [];
  const noBf16 = await ourBf16Missing();
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'fused-lora-check-'));
  try {
    for (const run of runs) {
      if (noBf16 && run.includes('bf16')) {
        figures.set(run, { missing: noBf16 });
        save(figures, ranges);
        continue;
      }
      process.stderr.write(`bench:${run} … `);
      const started = performance.now();
      const json = path.join(folder, `${run.replace(/\W+/g, '-')}.json`);
      try {
        const options = ['--targets', ...(quick ? ['--quick'] : [])];
        const { figures: medians, ranges: between } = medianOf(await measureOne(run, options, json));
        figures.set(run, medians);
        ranges.set(run, between);
      } catch (error) {
        failed.push(run);
        figures.set(run, { missing: (error as Error).message });
      }
      process.stderr.write(`${((performance.now() - started) / 1000).toFixed(0)} s\n`);
      save(figures, ranges);
    }
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
  return { figures, failed };
}

export interface CheckResult {
  quick: boolean;
  machine: ReturnType<typeof machineFacts>;
  blas: unknown;
  summary: string;
  rows: Judged[];
}

if (require.main === module) {
  start(async () => {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        json: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      console.log(
        'Which of the figures in benchmarks/targets.json does this machine reach?\n\n  npm run bench:check -- [--quick] [--json FILE]',
      );
      return;
    }
    const machine = machineFacts('cpu');
    const targets = readTargets(machine.isa);
    // Once for all: each benchmark would try them again.
    const blas = await chooseBlas();
    if (!isMissing(blas)) process.env[BLAS_VARIABLE] = blas.blas;
    const file = values.json ?? path.join(resultFolder, 'check.json');
    fs.mkdirSync(path.dirname(file), { recursive: true });
    let rows: Judged[] = [];
    const save = (figures: ReadonlyMap<string, Figures>, ranges: Ranges) => {
      rows = judge(targets, figures).map((row) => {
        const range = ranges.get(row.run)?.[row.figure];
        return range ? { ...row, range } : row;
      });
      const result: CheckResult = { quick: values.quick, machine, blas, summary: summaryOf(rows), rows };
      fs.writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
    };
    const { failed } = await measureAll([...new Set(targets.map(({ run }) => run))], values.quick, save);
    printTable(judgedHeader, rows.map(judgedRow));
    console.log(`\n${summaryOf(rows)}`);
    console.log(`written to ${path.relative(process.cwd(), file)}`);
    if (failed.length > 0) console.error(`failed: ${failed.map((run) => `bench:${run}`).join(', ')}`);
    process.exitCode = failed.length > 0 || rows.some(({ verdict }) => verdict === 'not met') ? 1 : 0;
  });
}
