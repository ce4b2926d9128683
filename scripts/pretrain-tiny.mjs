/**
 * Pretrains the quickstart's encoder (assets/tiny-roberta) on the text given, or on
 * ../shared/data/imdb: one document a line, gzipped. About an hour on 2 cores. Interrupt it when
 * you like: the same command goes on from its last checkpoint.
 *   npm run pretrain:tiny [-- TEXT.gz]
 * Its tokenizer: scripts/tiny-model/train_tokenizer.py.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const assets = join(root, 'assets', 'tiny-roberta');
const output = join(root, 'runs', 'tiny-roberta');
const text = process.argv[2] ?? join(root, '..', 'shared', 'data', 'imdb', 'unsup.txt.gz');
if (!existsSync(text)) {
  console.error(`${text} is not there: give a text file, npm run pretrain:tiny -- FILE.gz`);
  process.exit(1);
}

/** Both stages share these. */
const common = {
  '--text': text,
  '--tokenizer': assets,
  '--mask-probability': 0.2,
  '--dropout': 0,
};
// Short pieces and small batches first: the loss leaves its
// first plateau much sooner (docs/decisions.md).
const stages = [
  {
    '--model': join(assets, 'pretraining_config.json'),
    '--output': join(output, 'stage-1'),
    '--json': join(output, 'stage-1.json'),
    '--max-documents': 20000,
    '--token-budget': 1536,
    '--warmup-ratio': 0.03,
    '--max-length': 32,
    '--lr': 2e-3,
    '--epochs': 1,
  },
  {
    '--model': join(output, 'stage-1'),
    '--output': join(output, 'stage-2'),
    '--json': join(output, 'stage-2.json'),
    '--token-budget': 1536,
    '--warmup-ratio': 0.03,
    '--max-length': 64,
    '--lr': 1.5e-3,
    '--max-steps': 8000,
    '--seed': 1,
    '--save-dtype': 'F16',
  },
  {
    '--model': join(output, 'stage-2'),
    '--output': join(output, 'stage-3'),
    '--json': join(output, 'stage-3.json'),
    '--token-budget': 3072,
    '--warmup-steps': 200,
    '--max-length': 64,
    '--lr': 1.5e-3,
    '--max-steps': 9500,
    '--seed': 2,
    '--save-dtype': 'F16',
  },
];

mkdirSync(output, { recursive: true });
for (const stage of stages) {
  const args = Object.entries({ ...common, ...stage })
    .flat()
    .map(String);
  const run = spawnSync(process.execPath, [join(root, 'dist', 'cli', 'main.js'), 'pretrain', '--resume', ...args], {
    stdio: 'inherit',
  });
  if (run.status !== 0) process.exit(run.status ?? 1);
}
const record = {
  stages: stages.map((stage) => JSON.parse(readFileSync(stage['--json'], 'utf8'))),
};
writeFileSync(join(assets, 'pretraining.json'), `${JSON.stringify(record, null, 2)}\n`);
for (const name of ['config.json', 'model.safetensors'])
  copyFileSync(join(output, 'stage-3', name), join(assets, name));
console.log(`copied to ${assets}`);
