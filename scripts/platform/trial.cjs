/**
 * What each platform has to do: load the addon, tell what it is, train with LoRA for a few steps,
 * predict with what was saved, in int8 and NF4 too, and write files where systems differ. It
 * prints one line of JSON. Run by scripts/test-platform.mjs, from a folder that has the packages
 * installed, by the platform's own Node.
 * Usage: node trial.cjs MODEL_FOLDER OUTPUT_FOLDER STEPS [RESULT_FILE]
 */
const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { classify, fineTune, openTextModel } = require('fused-lora');

const [model, outputDir, steps, resultFile] = process.argv.slice(2);
const TEXTS = ['a warm and funny film', 'dull', 'bad story , worse acting', 'lovely music'];
const LABELS = ['positive', 'negative', 'negative', 'positive'];

/** A module of the package that its users do not see. */
const inside = (name) =>
  require(path.join(path.dirname(require.resolve('fused-lora/package.json')), 'dist', `${name}.js`));

/** Probabilities of both labels for each text: numbers that can be compared, and no blanks. */
function numbersOf(predictions) {
  return predictions.map(({ probabilities }) => {
    const numbers = Object.values(probabilities);
    assert.ok(numbers.length === 2 && Math.abs(numbers[0] + numbers[1] - 1) < 1e-6, `no probabilities: ${numbers}`);
    return numbers;
  });
}

/** What src/io/system.ts is about. */
async function tryFiles() {
  const { writeFileAtomic } = inside('io/atomic');
  fs.rmSync('files', { recursive: true, force: true });
  fs.mkdirSync('files');
  // Written over while it is open to be read, as the weights of a model saved over itself.
  const file = path.join('files', 'open');
  writeFileAtomic(file, 'old');
  const fd = fs.openSync(file, 'r');
  writeFileAtomic(file, 'new');
  assert.equal(fs.readFileSync(fd, 'utf8'), 'old');
  fs.closeSync(fd);
  assert.equal(fs.readFileSync(file, 'utf8'), 'new');
  assert.deepEqual(fs.readdirSync('files'), ['open']);
  // A journal whose last line was cut off.
  const { Journal } = inside('study/journal/journal_file');
  const { studyRecord } = inside('study/journal/records');
  const journal = path.join('files', 'journal.log');
  fs.writeFileSync(journal, '{"op_code":0,"stu');
  await new Journal(journal).change(() => [studyRecord('search', true)]);
  assert.equal(new Journal(journal).read().studies.length, 1);
  assert.deepEqual(fs.readdirSync('files').sort(), ['journal.log', 'open']);
  // A drive that is not there.
  if (process.platform === 'win32')
    assert.throws(() => inside('io/folders').makeFolder('Q:\\none\\deeper'), { code: 'ENOENT' });
}

/** Node's version and, where there is one, glibc's. */
function systemName() {
  const glibc = process.platform === 'linux' && process.report.getReport().header.glibcVersionRuntime;
  return `${process.platform}-${process.arch}, Node ${process.versions.node}${glibc ? `, glibc ${glibc}` : ''}`;
}

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
  const predictions = await classify(opened, TEXTS, { precision: 'fp32' });
  const inFewerBits = {};
  for (const baseWeights of ['int8', 'nf4']) {
    inFewerBits[baseWeights] = numbersOf(await classify(opened, TEXTS, { precision: 'fp32', baseWeights }));
  }
  opened.model.dispose();
  // What `fused-lora info` shows.
  const { addonFile, native } = inside('native');
  const { isa, threads, compiler, cuda } = native().info();
  await tryFiles();
  const result = {
    ...{ isa, threads, compiler, cuda: cuda.cause, addon: addonFile() },
    system: systemName(),
    losses,
    adapter: createHash('sha256').update(bytes).digest('hex'),
    labels: predictions.map(({ label }) => label),
    predictions: numbersOf(predictions),
    inFewerBits,
  };
  const text = JSON.stringify(result);
  if (resultFile) fs.writeFileSync(resultFile, text);
  console.log(text);
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
