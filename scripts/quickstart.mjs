/**
 * The main job on the embedded default: fine-tunes the tiny RoBERTa on the grammar's sentiment task
 * with the classifier only, with LoRA and in full, and with LoRA from a random encoder; writes the
 * adapter, loads it again and classifies three sentences with it.
 *   npm run quickstart [-- --json FILE]
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
// The library is used as it is built; the grammar is an example in TypeScript, which is no part of
// it.
const { makeSentimentTask } = require('tsx/cjs/api').require('../examples/sentiment_grammar/index.ts', import.meta.url);
const { values: options } = parseArgs({ options: { json: { type: 'string' } } });

const base = join(root, 'assets', 'tiny-roberta');
const runs = join(root, 'runs', 'quickstart');
const randomBase = join(runs, 'random-encoder');

/** An encoder of the same shape that has learnt nothing, with the same tokenizer. */
async function makeRandomEncoder() {
  const { model } = await openTextModel(base, { task: 'masked-lm' });
  mkdirSync(runs, { recursive: true });
  saveModel(createModel(configOf(model), { task: 'masked-lm', seed: 1 }), randomBase);
}

const MODES = [
  { name: 'classifier only', method: 'head', learningRate: 5e-3 },
  { name: 'LoRA, r = 8', method: 'lora', learningRate: 2e-3 },
  { name: 'full fine-tuning', method: 'full', learningRate: 5e-4 },
  { name: 'LoRA, random encoder', method: 'lora', learningRate: 2e-3, random: true },
];

async function main() {
  const started = performance.now();
  const { train, dev, labelNames } = makeSentimentTask();
  console.log(
    `sentiment task: ${train.length} train and ${dev.length} dev sentences; encoder: ${relative(root, base)}`,
  );
  await makeRandomEncoder();
  const rows = [];
  for (const { name, method, learningRate, random } of MODES) {
    process.stdout.write(`training: ${name} ...`);
    const outputDir = join(runs, name.replace(/\W+/g, '-'));
    const result = await fineTune({
      model: random ? randomBase : base,
      tokenizer: base,
      train,
      dev,
      labelNames,
      outputDir,
      method,
      learningRate,
      epochs: 4,
      batchSize: 16,
      maxLength: 64,
      overwrite: true,
      evaluateEvery: 100000,
      checkpointEvery: 100000,
    });
    result.textModel.model.dispose();
    rows.push({
      name,
      accuracy: result.metrics.accuracy,
      learnable: result.parameters.learnable,
      bytes: result.output.bytes,
      samplesPerSecond: result.training.samplesPerSecond,
      seconds: result.training.seconds,
      folder: outputDir,
    });
    console.log(` ${result.training.seconds.toFixed(1)} s`);
  }

  const header = ['', 'accuracy', 'learnable', 'file', 'samples/s'];
  const cells = rows.map((r) => [
    r.name,
    r.accuracy.toFixed(4),
    r.learnable.toLocaleString('en-US'),
    `${(r.bytes / 1e6).toFixed(2)} MB`,
    r.samplesPerSecond.toFixed(0),
  ]);
  const widths = header.map((h, i) => Math.max(h.length, ...cells.map((row) => row[i].length)));
  console.log();
  for (const row of [header, ...cells]) {
    console.log(row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('   '));
  }

  const adapter = rows[1].folder;
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
      predictions,
    };
    writeFileSync(options.json, `${JSON.stringify(figures, null, 2)}\n`);
  }
}

if (!existsSync(join(base, 'model.safetensors'))) {
  console.error(`${base}/model.safetensors is missing: npm run pretrain:tiny makes it`);
  process.exit(1);
}
main().catch((error) => {
  console.error(error.code ? `error [${error.code}]: ${error.message}` : error);
  process.exitCode = 1;
});
