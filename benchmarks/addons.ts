/**
 * How fast is one build of the addon against another? bench:linear and bench:step --quick, with
 * the one and the other in turns; every time of our own sides is compared, and their geometric
 * mean. For the package's addon, which zig builds, against the one that gcc built here.
 * What the times are of: linear.ts and step.ts; the packages: scripts/packages.mjs.
 *
 *   npm run bench:addons -- FIRST.node SECOND.node [--rounds N] [--json FILE]
 */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { runBenchmark } from './lib/commands';
import { start } from './lib/main';
import { geometricMean, summarize } from './lib/measure';
import { machineFacts, printTable } from './lib/report';

const RUNS = ['linear', 'step'];

/** Medians of our own sides below a result's rows: where they stand → seconds. */
function timesOf(rows: unknown, at = ''): [string, number][] {
  if (typeof rows !== 'object' || rows === null) return [];
  if ('median' in rows && typeof rows.median === 'number') {
    return /peak|PyTorch|onednn|torch|peft|openblas|compiled/.test(at) ? [] : [[at, rows.median]];
  }
  return Object.entries(rows).flatMap(([key, value]) => timesOf(value, `${at}/${key}`));
}

async function measure(addon: string, run: string, folder: string): Promise<Map<string, number>> {
  process.env['FUSED_LORA_PREBUILD'] = addon;
  const json = path.join(folder, 'result.json');
  await runBenchmark(run, ['--quick'], json, false);
  const { rows } = JSON.parse(fs.readFileSync(json, 'utf8')) as { rows: unknown };
  return new Map(timesOf(rows, run));
}

start(async () => {
  const { values, positionals } = parseArgs({
    options: { rounds: { type: 'string', default: '3' }, json: { type: 'string' } },
    allowPositionals: true,
  });
  const [first, second] = positionals.map((file) => path.resolve(file));
  if (!first || !second || positionals.length > 2) throw new Error('name two addons: FIRST.node SECOND.node');
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'fused-lora-addons-'));
  const ratios = new Map<string, number[]>();
  try {
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const run of RUNS) {
        const [a, b] = [await measure(first, run, folder), await measure(second, run, folder)];
        for (const [name, seconds] of a) {
          const other = b.get(name);
          if (other !== undefined) ratios.set(name, [...(ratios.get(name) ?? []), other / seconds]);
        }
      }
    }
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
  const medians = [...ratios].map(([name, all]): [string, number] => [name, summarize(all).median]);
  const means = RUNS.map((run): [string, number] => [
    run,
    geometricMean(medians.filter(([name]) => name.startsWith(run)).map(([, ratio]) => ratio)),
  ]);
  const all = geometricMean(medians.map(([, ratio]) => ratio));
  const load = os.loadavg().map((value) => value.toFixed(1));
  console.log(`${first}\nover\n${second}: how many times as fast, medians of ${values.rounds} rounds in turns`);
  printTable(
    ['', 'times', 'speed'],
    [...means, ['all', all] as const].map(([name, ratio]) => [
      name,
      String(medians.filter(([time]) => name === 'all' || time.startsWith(name)).length),
      ratio.toFixed(3),
    ]),
  );
  console.log(`load of the machine at the end: ${load.join(' ')}`);
  if (values.json) {
    const result = { first, second, all, means: Object.fromEntries(means), load, machine: machineFacts('cpu') };
    fs.writeFileSync(values.json, `${JSON.stringify({ ...result, ratios: Object.fromEntries(ratios) }, null, 2)}\n`);
  }
});
