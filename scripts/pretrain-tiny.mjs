// Pretrains the quickstart's encoder (assets/tiny-roberta) on the text given, or on ../shared/data/imdb: one document a line, gzipped.
// About half an hour on 2 cores. Interrupt it when you like: the same command goes on from its last checkpoint.
//   npm run pretrain:tiny [-- TEXT.gz]
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
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
mkdirSync(output, { recursive: true });
const settings = {
  '--model': join(assets, 'pretraining_config.json'),
  '--tokenizer': assets,
  '--text': text,
  '--output': output,
  '--json': join(output, 'pretraining.json'),
  '--max-length': 48,
  '--token-budget': 1536,
  '--mask-probability': 0.2,
  '--dropout': 0,
  '--lr': 2e-3,
  '--warmup-ratio': 0.03,
  '--epochs': 1,
  '--save-dtype': 'F16',
};
const run = spawnSync(
  process.execPath,
  [join(root, 'dist', 'cli', 'main.js'), 'pretrain', '--resume', ...Object.entries(settings).flat().map(String)],
  { stdio: 'inherit' },
);
if (run.status !== 0) process.exit(run.status ?? 1);
for (const name of ['config.json', 'model.safetensors', 'pretraining.json'])
  copyFileSync(join(output, name), join(assets, name));
console.log(`copied to ${assets}`);
