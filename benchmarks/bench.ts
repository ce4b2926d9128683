/**
 * `npm run bench`: all benchmarks one after the other, a summary at the end, and the report.
 * Each is also a command of its own: the other files of benchmarks/. The page: report.ts.
 *
 *   npm run bench -- [--quick] [--json FILE] [--model NAME] [--only NAME,NAME]
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { collect, resultFiles, SUITE } from './lib/collect';
import { runBenchmark } from './lib/commands';
import { start } from './lib/main';
import { ourBf16Missing } from './lib/precision';
import { printTable } from './lib/report';
import { formatFigure, isMissing, type Result, resultFile } from './lib/result';
import { judgedHeader, judgedRow, readTargets, summaryOf } from './lib/targets';
import { BLAS_VARIABLE, chooseBlas } from './lib/torch_blas';
import { writeReport } from './report';

/** The suite, and what targets.json needs beyond it. */
async function runsOf(only: string | undefined): Promise<string[]> {
  const chosen = only?.split(',');
  const unknown = chosen?.find((name) => !(SUITE as readonly string[]).includes(name));
  if (unknown !== undefined) throw new Error(`--only ${unknown}: it must be some of ${SUITE.join(',')}`);
  const noBf16 = await ourBf16Missing();
  const more = readTargets('').map(({ run }) => run);
  return [...new Set([...SUITE, ...more])]
    .filter((run) => !(noBf16 && run.includes('bf16')))
    .filter((run) => chosen?.includes(run.split(' ')[0] as string) ?? true);
}

const fileOf = (run: string, model: string | undefined) =>
  resultFile([run.replace(' --precision ', '-'), model].filter(Boolean).join('-'));

if (require.main === module) {
  start(async () => {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        json: { type: 'string' },
        model: { type: 'string' },
        only: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      console.log(
        `All benchmarks, a summary and the report.\n\n  npm run bench -- [--quick] [--json FILE] [--model NAME] [--only ${SUITE.join(',')}]`,
      );
      return;
    }
    const blas = await chooseBlas();
    if (!isMissing(blas)) process.env[BLAS_VARIABLE] = blas.blas;
    const options = [...(values.quick ? ['--quick'] : []), ...(values.model ? ['--model', values.model] : [])];
    const results: Result[] = [];
    const failed: string[] = [];
    for (const run of await runsOf(values.only)) {
      console.log(`\n== bench:${run}`);
      try {
        results.push(await runBenchmark(run, options, fileOf(run, values.model), true));
      } catch (error) {
        console.error((error as Error).message);
        failed.push(run);
      }
    }
    console.log('\n== summary');
    const rows = results.flatMap(({ figures }) => Object.entries(figures));
    printTable(
      ['figure', 'measured'],
      rows.map(([name, figure]) => [name, formatFigure(figure)]),
    );
    const files = resultFiles();
    const { judged } = collect(files);
    if (judged.length > 0) {
      console.log('\nfigures to reach, from all results in runs/bench');
      printTable(judgedHeader, judged.map(judgedRow));
      console.log(summaryOf(judged));
    }
    if (values.json) {
      fs.mkdirSync(path.dirname(values.json), { recursive: true });
      fs.writeFileSync(values.json, `${JSON.stringify({ blas, results }, null, 2)}\n`);
    }
    if (files.length > 0) console.log(`\nreport: ${path.relative(process.cwd(), writeReport(files))}`);
    if (failed.length > 0) {
      console.error(`failed: ${failed.map((run) => `bench:${run}`).join(', ')}`);
      process.exitCode = 1;
    }
  });
}
