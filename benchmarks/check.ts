/**
 * Which of the figures to reach (targets.json) does this machine
 * reach? Runs the benchmarks that they need, one line a row.
 * The bounds: benchmarks/targets.json, judged by lib/targets.ts.
 *
 *   npm run bench:check -- [--quick] [--json FILE]
 *
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
import { type Judged, judge, judgedHeader, judgedRow, readTargets, summaryOf } from './lib/targets';
import { BLAS_VARIABLE, chooseBlas } from './lib/torch_blas';

type Figures = Record<string, Figure> | Missing;

/**
 * Of all runs that the targets need, one after the other;
 * `save` is called after each, with what is there so far.
 */
async function measureAll(runs: readonly string[], quick: boolean, save: (figures: Map<string, Figures>) => void) {
  const figures = new Map<string, Figures>();
  const failed: string[] = [];
  const noBf16 = await ourBf16Missing();
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'fused-lora-check-'));
  try {
    for (const run of runs) {
      if (noBf16 && run.includes('bf16')) {
        figures.set(run, { missing: noBf16 });
        save(figures);
        continue;
      }
      process.stderr.write(`bench:${run} … `);
      const started = performance.now();
      const json = path.join(folder, `${run.replace(/\W+/g, '-')}.json`);
      try {
        const options = ['--targets', ...(quick ? ['--quick'] : [])];
        figures.set(run, (await runBenchmark(run, options, json, false)).figures);
      } catch (error) {
        failed.push(run);
        figures.set(run, { missing: (error as Error).message });
      }
      process.stderr.write(`${((performance.now() - started) / 1000).toFixed(0)} s\n`);
      save(figures);
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
    const targets = readTargets();
    // Once for all: each benchmark would try them again.
    const blas = await chooseBlas();
    if (!isMissing(blas)) process.env[BLAS_VARIABLE] = blas.blas;
    const file = values.json ?? path.join(resultFolder, 'check.json');
    fs.mkdirSync(path.dirname(file), { recursive: true });
    let rows: Judged[] = [];
    const save = (figures: ReadonlyMap<string, Figures>) => {
      rows = judge(targets, figures);
      const machine = machineFacts('cpu');
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
