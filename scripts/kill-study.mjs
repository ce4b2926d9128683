/**
 * Four workers of one study (`fused-lora tune`, then `--join`), killed at random and started again,
 * until it is over: no trial is lost, none done twice, and the results are whole. Outside of CI, by
 * hand, as kill-trial.mjs is for single runs; it needs the built package (npm run build:ts).
 * With one worker the results are also compared with those of a study that nobody stopped.
 *
 * Usage: node scripts/kill-study.mjs [--workers 4] [--kills 20] [--seed 1] [--keep FOLDER]
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './lib/shell.mjs';

const { values } = parseArgs({
  options: {
    workers: { type: 'string', default: '4' },
    kills: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    keep: { type: 'string' },
  },
});
const [workers, kills] = [Number(values.workers), Number(values.kills)];
let state = Number(values.seed);
/** mulberry32: the waits are a function of the seed. */
const random = () => {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};

const dir = values.keep ?? mkdtempSync(join(tmpdir(), 'fused-lora-study-'));
mkdirSync(dir, { recursive: true });
const study = join(dir, 'study');
const row = (i) =>
  `the ${['story', 'music', 'film'][i % 3]} is ${i % 2 ? 'great' : 'awful'} .\t${i % 2 ? 'good' : 'bad'}\n`;
const data = join(dir, 'train.tsv');
writeFileSync(data, `text\tlabel\n${Array.from({ length: 64 }, (_, i) => row(i)).join('')}`);
const args = [
  ...['tune', '--model', join(root, 'assets', 'tiny-roberta'), '--train', data, '--dev-split', '0.3'],
  ...['--trials', '4', '--repeats', '3', '--epochs', '3', '--batch-size', '8', '--device', 'cpu'],
];
const start = (output = study) =>
  new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      [join(root, 'dist', 'cli', 'main.js'), ...args, '--output', output, '--quiet'],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
    running.add(child);
    child.on('close', (code, signal) => {
      running.delete(child);
      resolve({ code, signal });
    });
  });

const running = new Set();
let killed = 0;
/** Each keeps its worker going until one of it ends by itself. */
const keepers = Array.from({ length: workers }, async () => {
  for (;;) {
    const { code, signal } = await start();
    if (signal === 'SIGKILL') continue;
    if (code !== 0) throw new Error(`a worker ended with ${code}`);
    return;
  }
});
const done = Promise.all(keepers);
let over = false;
done.finally(() => {
  over = true;
});
while (killed < kills && !over) {
  await new Promise((resolve) => setTimeout(resolve, 400 + 1600 * random()));
  const all = [...running];
  if (all.length === 0) continue;
  all[Math.floor(random() * all.length)].kill('SIGKILL');
  killed++;
}
await done;

const records = readFileSync(join(study, 'journal.log'), 'utf8').trim().split('\n').map(JSON.parse);
const slots = records
  .filter(({ op_code: op }) => op === 4)
  .map(({ study_id: id, slot }) => `${id} ${slot.arm} ${slot.index}`);
const ends = records.filter(({ op_code: op }) => op === 6).map(({ trial_id: id }) => id);
const reports = records.filter(({ op_code: op }) => op === 7).map(({ trial_id: id, step }) => `${id} ${step}`);
const twice = (list) => list.filter((one, i) => list.indexOf(one) !== i);
const problems = [
  ...twice(slots).map((one) => `trial ${one} is there twice`),
  ...twice(ends).map((one) => `trial ${one} ended twice`),
  ...twice(reports).map((one) => `report ${one} is there twice`),
  ...slots.flatMap((one, id) => (ends.includes(id) ? [] : [`trial ${one} did not end`])),
  ...(slots.length === 21 ? [] : [`${slots.length} trials, expected 3 × 4 and 3 × 3`]),
];
const { methods } = JSON.parse(readFileSync(join(study, 'results.json'), 'utf8'));
for (const { method, dev } of methods) if (dev.count !== 3) problems.push(`${method} has ${dev.count} repeats`);
if (workers === 1) {
  const whole = join(dir, 'whole');
  await start(whole);
  const [a, b] = [study, whole].map((one) => readFileSync(join(one, 'results.json'), 'utf8'));
  if (a !== b) problems.push('the results are not those of a study that nobody stopped');
}
process.stdout.write(
  `${slots.length} trials by ${workers} workers, ${killed} killed: ${problems.length === 0 ? 'none lost, none twice' : problems.join('; ')}\n`,
);
if (values.keep === undefined) rmSync(dir, { recursive: true, force: true });
process.exitCode = problems.length === 0 ? 0 : 1;
