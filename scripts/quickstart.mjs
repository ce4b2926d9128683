/**
 * The main job on the embedded default: fine-tunes the tiny RoBERTa on the grammar's sentiment task
 * with the classifier only, with LoRA and in full, and with LoRA from a random encoder; writes the
 * adapter, loads it again and classifies three sentences with it.
 *   npm run quickstart [-- --json FILE] [--seed N] [--seeds N]
 * --seed: another one than 0; --seeds: all of it with so many seeds, and how far they spread.
 * The encoder is made by pretrain-tiny.mjs.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);
const { classify, configOf, createModel, fineTune, openTextModel, saveModel } = require(join(root, 'dist', 'index.js'));
// The library is used as it is built; the grammar is an
// example in TypeScript, which is no part of it.
const { makeSentimentTask } = require('tsx/cjs/api').require('../examples/sentiment_grammar/index.ts', import.meta.url);
const { values: options } = parseArgs({
  options: {
    json: { type: 'string' },
    seed: { type: 'string', default: '0' },
    seeds: { type: 'string', default: '1' },
  },
});

const base = join(root, 'assets', 'tiny-roberta');
const runs = join(root, 'runs', 'quickstart');
const randomBase = join(runs, 'random-encoder');

/** An encoder of the same shape that has learnt nothing, with the same tokenizer. */
async function makeRandomEncoder() {
  const { model } = await openTextModel(base, { task: 'masked-lm' });
  mkdirSync(runs, { recursive: true });
  saveModel(createModel(configOf(model), { task: 'masked-lm', seed: 1 }), randomBase);
}

const RECIPE = {
  epochs: 4,
  batchSize: 16,
  maxLength: 64,
  labelSmoothing: 0.1,
  overwrite: true,
  evaluateEvery: 100000,
  checkpointEvery: 100000,
};
// Decay keeps what is learnt from train's words small: without it and the smoothing, accuracy on
// dev differs by 17 points between seeds, with both by 4 or so (docs/results.md).
const LORA = { method: 'lora', learningRate: 2e-3, weightDecay: 1 };
const MODES = [
  // The frozen encoder runs once for each sentence, and the same bits come of it.
  { name: 'classifier only', method: 'head', learningRate: 5e-3, keepFrozen: true },
  { name: 'LoRA, r = 8', ...LORA },
  { name: 'full fine-tuning', method: 'full', learningRate: 5e-4, epochs: 3 },
  { name: 'LoRA, random encoder', ...LORA, random: true },
];

/** Each mode once, with this seed. */
async function trainModes(task, seed) {
  const rows = [];
  for (const { name, random, ...settings } of MODES) {
    process.stdout.write(`training, seed ${seed}: ${name} ...`);
    const outputDir = join(runs, name.replace(/\W+/g, '-'));
    const result = await fineTune({
      ...RECIPE,
      ...settings,
      ...task,
      model: random ? randomBase : base,
      tokenizer: base,
      outputDir,
      seed,
    });
    result.textModel.model.dispose();
    rows.push({
      name,
      seed,
      accuracy: result.metrics.accuracy,
      learnable: result.parameters.learnable,
      bytes: result.output.bytes,
      samplesPerSecond: result.training.samplesPerSecond,
      seconds: result.training.seconds,
      folder: outputDir,
    });
    console.log(` ${result.training.seconds.toFixed(1)} s`);
  }
  return rows;
}

function printTable(header, rows) {
  const widths = header.map((h, i) => Math.max(h.length, ...rows.map((row) => row[i].length)));
  console.log();
  for (const row of [header, ...rows]) {
    console.log(row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('   '));
  }
}

/** Accuracy by mode over all seeds, and by how much LoRA leads. */
function printSpread(rows, seeds) {
  const spread = MODES.map(({ name }) => {
    const accuracies = rows.filter((row) => row.name === name).map((row) => row.accuracy);
    const mean = accuracies.reduce((sum, x) => sum + x, 0) / accuracies.length;
    return { name, accuracies, mean, spread: Math.max(...accuracies) - Math.min(...accuracies) };
  });
  printTable(
    ['', ...seeds.map((seed) => `seed ${seed}`), 'mean', 'spread'],
    spread.map((s) => [s.name, ...[...s.accuracies, s.mean, s.spread].map((x) => x.toFixed(4))]),
  );
  const [head, lora, , random] = spread;
  const points = (other) => ((lora.mean - other.mean) * 100).toFixed(1);
  console.log(`\nLoRA is ${points(head)} points above the classifier alone, ${points(random)} above a random encoder`);
  return spread;
}

async function main() {
  const started = performance.now();
  const task = makeSentimentTask();
  console.log(
    `sentiment task: ${task.train.length} train and ${task.dev.length} dev sentences; encoder: ${relative(root, base)}`,
  );
  await makeRandomEncoder();
  const seeds = Array.from({ length: whole('seeds', 1) }, (_, i) => whole('seed', 0) + i);
  const rows = [];
  for (const seed of seeds) rows.push(...(await trainModes(task, seed)));

  const last = rows.slice(-MODES.length);
  printTable(
    ['', 'accuracy', 'learnable', 'file', 'samples/s'],
    last.map((r) => [
      r.name,
      r.accuracy.toFixed(4),
      r.learnable.toLocaleString('en-US'),
      `${(r.bytes / 1e6).toFixed(2)} MB`,
      r.samplesPerSecond.toFixed(0),
    ]),
  );
  const spread = seeds.length > 1 ? printSpread(rows, seeds) : undefined;

  const adapter = last[1].folder;
  const again = await openTextModel(adapter, { baseModel: base, tokenizer: base });
  const texts = [
    'the story was so horrible at first , but then the cast was absolutely amazing .',
    'for me the music was not fantastic , although we thought the script was great .',
    'well , the acting never looks lazy !',
  ];
  const predictions = await classify(again, texts);
  console.log(`\nthe adapter, loaded again from ${relative(root, adapter)}:`);
  for (const [i, text] of texts.entries()) {
    console.log(`  ${predictions[i].label} ${predictions[i].probability.toFixed(3)}  ${text}`);
  }
  const seconds = (performance.now() - started) / 1000;
  console.log(`\n${seconds.toFixed(0)} s in all, set-up left out`);
  if (options.json) {
    const figures = {
      seconds,
      rows: rows.map(({ folder, ...row }) => ({ ...row, folder: relative(root, folder) })),
      spread,
      predictions,
    };
    writeFileSync(options.json, `${JSON.stringify(figures, null, 2)}\n`);
  }
}

/** The whole number that an option has. */
function whole(name, low) {
  const value = Number(options[name]);
  if (Number.isSafeInteger(value) && value >= low) return value;
  console.error(`--${name} is ${options[name]}, expected a whole number from ${low}`);
  process.exit(2);
}

if (!existsSync(join(base, 'model.safetensors'))) {
  console.error(`${base}/model.safetensors is missing: npm run pretrain:tiny makes it`);
  process.exit(1);
}
main().catch((error) => {
  console.error(error.code ? `error [${error.code}]: ${error.message}` : error);
  process.exitCode = 1;
});
