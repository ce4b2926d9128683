/**
 * What the folders of 92a1661 were made from: tiny base models, a few rows a task, and the runs on
 * them. Shared by the script that made them (test/fixtures/compat/make.cjs) and by the test that
 * opens them, so that both mean the same by a name.
 */
const fs = require('node:fs');
const path = require('node:path');

const TASKS = ['sequence-classification', 'multi-label-classification', 'regression', 'token-classification'];
const LABELS = {
  'sequence-classification': ['neg', 'neutral', 'pos'],
  'multi-label-classification': ['fun', 'long', 'sad'],
  'token-classification': ['B-PER', 'I-PER', 'O'],
};
const ROWS = {
  'sequence-classification': [
    ['a good film', 'pos'],
    ['bad and long', 'neg'],
    ['so so', 'neutral'],
    ['dull', 'neg'],
    ['what a fine day it was', 'pos'],
    ['one more', 'neutral'],
  ],
  'multi-label-classification': [
    ['a good film', ['fun']],
    ['bad and long', ['long', 'sad']],
    ['so so', []],
    ['dull', ['sad']],
    ['what a fine day it was', ['fun', 'long']],
    ['one more', ['long']],
  ],
  regression: [
    ['a good film', 1.5],
    ['bad and long', -1],
    ['so so', 0],
    ['dull', -0.5],
    ['what a fine day it was', 2],
    ['one more', 0.25],
  ],
  'token-classification': [
    ['ann lee met bob', ['B-PER', 'I-PER', 'O', 'B-PER']],
    ['rain', ['O']],
    ['bob ran', ['B-PER', 'O']],
    ['we saw ann', ['O', 'O', 'B-PER']],
    ['kim park left', ['B-PER', 'I-PER', 'O']],
    ['it was kim', ['O', 'O', 'B-PER']],
  ],
};
/** What logits are computed of: one letter, words, and more than the 24 positions hold. */
const TEXTS = ['x', 'a very good film and ann', 'the quick brown fox jumps over the lazy dog and runs'];

const exampleOf = (task, text, label) =>
  task === 'token-classification' ? { tokens: text.split(' '), labels: label } : { text, label };
const rowsOf = (task) => ROWS[task].map(([text, label]) => exampleOf(task, text, label));
const textsOf = (task) =>
  TEXTS.map((text) => (task === 'token-classification' ? { tokens: text.split(' ') } : { text }));

/**
 * Bases: family × keys with or without the encoder's prefix × head of the task or none × (BERT)
 * pooler or none.
 */
function basesOf(task) {
  const bases = [];
  for (const family of ['roberta', 'bert'])
    for (const prefix of [true, false])
      for (const head of [true, false])
        for (const pooler of family === 'bert' ? [true, false] : [false])
          bases.push({ task, family, prefix, head, pooler });
  return bases;
}

/** A base without a head is the same for all tasks. */
const nameOfBase = ({ task, family, prefix, head, pooler }) =>
  [family, prefix ? 'prefix' : 'bare', pooler && 'pooler', head && (task ? `head-${task}` : 'head')]
    .filter(Boolean)
    .join('-');

/**
 * LoRA on every base; full and head, whose folders differ less, on those that have both prefix and
 * head or neither.
 */
function runsOf(task) {
  return basesOf(task).flatMap((base) =>
    ['lora', 'full', 'head']
      .filter((method) => method === 'lora' || base.prefix === base.head)
      .map((method) => ({ base, method, name: `${task}-${method}-${nameOfBase({ ...base, task: '' })}` })),
  );
}

/**
 * Runs of which a checkpoint at step 2 of 6 is kept too. On a BERT model without pooler the
 * adapters of then leave the new pooler as it is and do not have it.
 */
const RESUMED = [
  'sequence-classification-lora-roberta-prefix-head',
  'sequence-classification-lora-bert-bare',
  'sequence-classification-head-bert-bare',
  'token-classification-full-bert-bare',
];

const optionsOf = ({ base, method, name }) => ({
  task: base.task,
  method,
  train: rowsOf(base.task),
  epochs: 2,
  batchSize: 2,
  learningRate: 0.02,
  warmupRatio: 0,
  device: 'cpu',
  precision: 'fp32',
  ...(method === 'lora' && { lora: { r: 2, loraAlpha: 4, targetModules: ['query', 'value', 'dense'] } }),
  ...(LABELS[base.task] && { labelNames: LABELS[base.task] }),
  checkpointEvery: RESUMED.includes(name) ? 2 : 'epoch',
  checkpointLimit: 3,
});

/**
 * Logits of the texts on a backend, in fp32, as base64 of little-endian floats.
 * @param library what `fused-lora` exports.
 */
async function logitsOf(library, textModel, backend) {
  const { Evaluator, EncodedSource, encodeExamples, encodeTokenExamples, trace } = library;
  const { model, tokenizer, maxLength } = textModel;
  const encode = model.task === 'token-classification' ? encodeTokenExamples : encodeExamples;
  const encoded = await encode(textsOf(model.task), tokenizer, { maxLength });
  const positions = { offset: model.positionOffset, maxPositions: model.config.maxPositionEmbeddings };
  const source = new EncodedSource(encoded, { positions, batchSize: 2, shuffle: false });
  const evaluator = new Evaluator({ trace: (o) => trace(model, o), backend, precision: 'fp32', loss: false });
  const { logits } = await evaluator.run(source);
  evaluator.dispose();
  return Buffer.concat(logits.map((row) => Buffer.from(row.buffer, row.byteOffset, row.byteLength))).toString('base64');
}

/** Files of a folder by path within it, as base64. */
function readFolder(dir, keep = () => true) {
  return Object.fromEntries(
    fs
      .readdirSync(dir, { recursive: true })
      .filter((file) => fs.statSync(path.join(dir, file)).isFile() && keep(file))
      .sort()
      .map((file) => [file, fs.readFileSync(path.join(dir, file)).toString('base64')]),
  );
}

function writeFolder(dir, files) {
  for (const [file, content] of Object.entries(files)) {
    const target = path.join(dir, file);
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.writeFileSync(target, Buffer.from(content, 'base64'));
  }
}

module.exports = { TASKS, LABELS, RESUMED, basesOf, nameOfBase, runsOf, optionsOf, logitsOf, readFolder, writeFolder };
