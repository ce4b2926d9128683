/**
 * What each platform has to do: load the addon, tell what it is, train with LoRA for a few steps,
 * and predict with what was saved. It prints one line of JSON. Run by scripts/test-platform.mjs,
 * from a folder that has the packages installed, by the platform's own Node.
 * Usage: node trial.cjs MODEL_FOLDER OUTPUT_FOLDER STEPS [RESULT_FILE]
 */
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { classify, fineTune, openTextModel } = require('fused-lora');

const [model, outputDir, steps, resultFile] = process.argv.slice(2);
const TEXTS = ['a warm and funny film', 'dull', 'bad story , worse acting', 'lovely music'];
const LABELS = ['positive', 'negative', 'negative', 'positive'];

async function main() {
  const train = TEXTS.map((text, i) => ({ text, label: LABELS[i] }));
  const losses = [];
  const { textModel } = await fineTune({
    model,
    train,
    outputDir,
    overwrite: true,
    method: 'lora',
    lora: { r: 4, loraAlpha: 8, targetModules: ['query', 'value'], loraDropout: 0.1 },
    learningRate: 2e-3,
    batchSize: 2,
    maxSteps: Number(steps),
    precision: 'fp32',
    callbacks: [{ onStep: ({ loss }) => losses.push(loss) }],
  });
  textModel.model.dispose();
  const bytes = fs.readFileSync(path.join(outputDir, 'adapter_model.safetensors'));
  const opened = await openTextModel(outputDir);
  const predictions = await classify(opened, TEXTS);
  opened.model.dispose();
  // What `fused-lora info` shows.
  const { addonFile, native } = require(path.join(path.dirname(require.resolve('fused-lora/package.json')), 'dist/native.js'));
  const { isa, threads, compiler, cuda } = native().info();
  const result = {
    ...{ isa, threads, compiler, cuda: cuda.cause, addon: addonFile() },
    system: `${process.platform}-${process.arch}, Node ${process.versions.node}`,
    losses,
    adapter: createHash('sha256').update(bytes).digest('hex'),
    predictions: predictions.map(({ label, scores }) => [label, scores]),
  };
  const text = JSON.stringify(result);
  if (resultFile) fs.writeFileSync(resultFile, text);
  console.log(text);
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
