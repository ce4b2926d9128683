/**
 * Memory over a long time: models opened, used and disposed of in thousands, one long run of
 * training, workers that are ended in the middle of a step. Resident memory is printed by tenths,
 * and its last three must stay near the first three. Its last line is `N passed, N failed`.
 * Usage: node scripts/soak.mjs [--models 10000] [--minutes 60] [--workers 100] [--seed 1]
 *   0 leaves a part out. It runs the built package (dist).
 * The short forms of these, in every test run: test/native/flat_memory.test.ts, lifecycle.test.ts.
 * Swaps of adapters: FUSED_LORA_SWAPS=10000 npx jest test/lora/manage -t swaps.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { root, say } from './lib/shell.mjs';

const { classify, fineTune, openTextModel } = createRequire(import.meta.url)(join(root, 'dist', 'index.js'));
const MODEL = join(root, 'assets', 'tiny-roberta');
const rows = Array.from({ length: 64 }, (_, i) => ({
  text: `the ${['film', 'song', 'day'][i % 3]} was ${['very', 'never'][i % 2]} ${['good', 'slow'][(i >> 1) % 2]}`,
  label: i % 2 === 0 ? 'yes' : 'no',
}));
const sizes = { batchSize: 8, maxLength: 16, checkpointEvery: 1e9, device: 'cpu', learningRate: 1e-4 };
const quick = { model: MODEL, train: rows, ...sizes };

if (!isMainThread) {
  await fineTune({
    ...quick,
    maxSteps: 1e6,
    ...workerData,
    callbacks: [{ onStep: () => parentPort.postMessage('step') }],
  });
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

/** What stays is seen beside what comes and goes. */
const ALLOWED_MB = 24;
const megabytes = () => Math.round(process.memoryUsage.rss() / 1e5) / 10;
let [passed, failed] = [0, 0];

function judge(what, memory) {
  const early = Math.max(...memory.slice(0, 3));
  const grown = Math.max(...memory.slice(-3)) - early;
  const flat = memory.length === 10 && grown < ALLOWED_MB;
  if (flat) passed++;
  else failed++;
  say(`${flat ? 'ok  ' : 'FAIL'} ${what}: ${memory.join(' ')} MB, ${grown.toFixed(1)} MB over the first three`);
}

/** @param act is called `count` times; memory is taken after each tenth. */
async function tenths(what, count, act) {
  const memory = [];
  const began = Date.now();
  for (let i = 1; i <= count; i++) {
    await act(i);
    if (Math.floor((10 * i) / count) === Math.floor((10 * (i - 1)) / count)) continue;
    collect();
    await sleep(50);
    memory.push(megabytes());
    say(`${i} ${what}: ${memory.at(-1)} MB`);
  }
  judge(`${count} ${what}, ${((Date.now() - began) / 1000).toFixed(0)} s`, memory);
}

async function models(count, dir) {
  const adapter = join(dir, 'adapter');
  const trained = await fineTune({ ...quick, maxSteps: 8, outputDir: adapter });
  const [wanted] = await classify(trained.textModel, [rows[0].text]);
  trained.textModel.model.dispose();
  await tenths('models opened, asked and disposed of', count, async (i) => {
    const textModel = await openTextModel(adapter);
    // One in ten is not even asked.
    if (i % 10 !== 0) {
      const [answer] = await classify(textModel, [rows[0].text]);
      if (JSON.stringify(answer) !== JSON.stringify(wanted)) throw new Error(`model ${i} answers otherwise`);
    }
    textModel.model.dispose();
  });
}

async function steps(minutes, dir) {
  const stop = new AbortController();
  let count = 0;
  const counted = { onStep: () => void count++ };
  const running = fineTune({
    ...quick,
    outputDir: join(dir, 'long'),
    maxSteps: 1e9,
    signal: stop.signal,
    callbacks: [counted],
  }).catch((error) => {
    if (error.code !== 'ABORTED') throw error;
  });
  const memory = [];
  for (let tenth = 0; tenth < 10; tenth++) {
    await Promise.race([running, sleep(6000 * minutes)]);
    collect();
    memory.push(megabytes());
  }
  stop.abort();
  const ended = await running;
  ended?.textModel.model.dispose();
  judge(`${count} steps in ${minutes} minutes`, memory);
}

async function workers(count, seed, dir) {
  await tenths('workers ended in a step', count, async (i) => {
    // The folder of the one that was ended last is free again.
    const data = { seed: i, outputDir: join(dir, 'worker'), overwrite: true };
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: data });
    await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    await sleep((seed * 7919 + i * 104729) % 23);
    const code = await worker.terminate();
    if (code !== 1) throw new Error(`worker ${i} ended by itself, with ${code}`);
  });
}

if (isMainThread) {
  const number = (value) => ({ type: 'string', default: String(value) });
  const { values } = parseArgs({
    options: { models: number(10_000), minutes: number(60), workers: number(100), seed: number(1) },
  });
  const dir = mkdtempSync(join(tmpdir(), 'soak-'));
  if (values.models !== '0') await models(Number(values.models), dir);
  if (values.workers !== '0') await workers(Number(values.workers), Number(values.seed), dir);
  if (values.minutes !== '0') await steps(Number(values.minutes), dir);
  rmSync(dir, { recursive: true });
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}
