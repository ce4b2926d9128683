/**
 * Kills `train`, `pretrain` and `merge` (SIGKILL) at random moments, lets them go on, and compares
 * what they leave with a run that nobody stopped: the same bytes. At each moment every file is
 * whole. Its last line is `N passed, N failed`.
 * Usage: node scripts/kill-trial.mjs [--trials 5] [--seed 1] [--commands train,pretrain,merge]
 * It runs the built package (dist). A disk that fills up: test/cli/disk_full.test.ts.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { fail, root, say } from './lib/shell.mjs';

const { values } = parseArgs({
  options: {
    trials: { type: 'string', default: '5' },
    seed: { type: 'string', default: '1' },
    commands: { type: 'string', default: 'train,pretrain,merge' },
  },
});
const CLI = join(root, 'dist', 'cli', 'main.js');
if (!existsSync(CLI)) fail('dist/cli/main.js is not there. Run: npm run build:ts');
const { SafetensorsFile } = createRequire(import.meta.url)(join(root, 'dist', 'io', 'safetensors.js'));

let state = Number(values.seed);
/** In [0, 1). */
function random() {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
}

const work = mkdtempSync(join(tmpdir(), 'kill-trial-'));
const at = (...parts) => join(work, ...parts);
const MODEL = join(root, 'assets', 'tiny-roberta');

/** Sentences of a handful of words, by number. */
function sentence(i) {
  const pick = (list, k) => list[Math.floor(i / k) % list.length];
  const subject = pick(['the film', 'this story', 'her song', 'a long day'], 1);
  return `${subject} was ${pick(['very', 'rather', 'never', 'always'], 4)} ${pick(['good', 'bad', 'slow', 'bright'], 16)}`;
}
const rows = Array.from({ length: 64 }, (_, i) => `${sentence(i)}\t${i % 2 === 0 ? 'yes' : 'no'}`);
writeFileSync(at('train.tsv'), `sentence\tlabel\n${rows.join('\n')}\n`);
writeFileSync(at('text.txt'), `${rows.map((row) => row.split('\t')[0]).join('\n')}\n`);

/** @returns exit code and what was printed; null where it was killed after `killAfter` ms. */
function run(args, killAfter) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data) => {
        output += data;
      });
    const timer = killAfter === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfter);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, output });
    });
  });
}

function filesOf(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, name))
    .filter((file) => statSync(file).isFile());
}

/** What is not the same in two runs: times, and paths of their own. */
const VARYING = /(^|\/)(events\.jsonl|report\.html|run_config\.json)$/;

function digest(folder) {
  return filesOf(folder)
    .map((file) => [relative(folder, file), createHash('sha256').update(readFileSync(file)).digest('hex')])
    .filter(([name]) => !VARYING.test(name))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map((entry) => entry.join(' '))
    .join('\n');
}

/** Files under their own names are whole; parts have names of their own, which no reader takes. */
function problems(folder) {
  const found = [];
  for (const file of filesOf(folder)) {
    const name = relative(folder, file);
    if (/\.(tmp|part|lock)|\.tmp-|(^|\/)\./.test(name)) continue;
    try {
      if (name.endsWith('.json')) JSON.parse(readFileSync(file, 'utf8'));
      if (name.endsWith('.safetensors')) SafetensorsFile.open(file);
      if (name.endsWith('.jsonl')) {
        const lines = readFileSync(file, 'utf8').split('\n');
        // The last line may be under way.
        for (const line of lines.slice(0, -1)) JSON.parse(line);
      }
      if (name.endsWith('.html') && !readFileSync(file, 'utf8').trimEnd().endsWith('</html>'))
        throw new Error('it is cut off');
    } catch (error) {
      found.push(`${name}: ${error.message}`);
    }
  }
  return found;
}

const steps = ['--max-steps', '8', '--checkpoint-every', '2', '--max-length', '16', '--quiet'];
const COMMANDS = {
  train: (output) => [
    'train',
    '--model',
    MODEL,
    '--train',
    at('train.tsv'),
    '--batch-size',
    '8',
    '--output',
    output,
    ...steps,
  ],
  pretrain: (output) => [...['pretrain', '--model', MODEL, '--text', at('text.txt'), '--output', output], ...steps],
  merge: (output) => ['merge', '--model', MODEL, '--adapter', at('train-whole'), '--output', output],
};
const RESUME = { train: ['--resume'], pretrain: ['--resume'], merge: [] };

let passed = 0;
let failed = 0;
function report(what, wrong) {
  if (wrong.length === 0) {
    passed++;
    return;
  }
  failed++;
  process.stdout.write(`FAILED ${what}\n${wrong.map((line) => `  ${line}\n`).join('')}`);
}

const wanted = values.commands.split(',');
for (const name of ['train', 'pretrain', 'merge']) {
  // The merge is of the adapter that train leaves.
  if (!wanted.includes(name) && !(name === 'train' && wanted.includes('merge'))) continue;
  const whole = at(`${name}-whole`);
  const began = Date.now();
  const first = await run(COMMANDS[name](whole));
  const took = Date.now() - began;
  if (first.code !== 0) fail(`${name} without a kill ended with ${first.code}:\n${first.output}`);
  const expected = digest(whole);
  if (!wanted.includes(name)) continue;
  for (let trial = 0; trial < Number(values.trials); trial++) {
    const output = at(`${name}-${trial}`);
    const args = COMMANDS[name](output);
    const wrong = [];
    const moments = [];
    let { code, output: said } = { code: null, output: '' };
    // One run in three is killed a second time.
    for (let kill = 0; kill < (random() < 1 / 3 ? 2 : 1); kill++) {
      const moment = Math.floor(random() * took);
      moments.push(moment);
      const more = kill > 0 && existsSync(output) ? RESUME[name] : [];
      ({ code, output: said } = await run([...args, ...more], moment));
      wrong.push(...problems(output));
      if (code !== null) break;
    }
    if (code === null) ({ code, output: said } = await run([...args, ...(existsSync(output) ? RESUME[name] : [])]));
    if (code !== 0) wrong.push(`ended with ${code}: ${said.trim()}`);
    else if (digest(output) !== expected) wrong.push(`other bytes:\n${digest(output)}\nexpected:\n${expected}`);
    wrong.push(...problems(output));
    report(`${name}, killed after ${moments.join(' and ')} of ${took} ms`, wrong);
    rmSync(output, { recursive: true, force: true });
  }
  say(`${name}: ${values.trials} trials, ${(took / 1000).toFixed(1)} s without a kill`);
}
rmSync(work, { recursive: true, force: true });
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
