/**
 * Folders and checkpoints that commit 92a1661 wrote open as before, with the same bits of logits:
 * every task, family, method, and bases with and without pooler, head and key prefix.
 * test/fixtures/compat/make.cjs made them; recipes.cjs says of what.
 */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { temporaryFolder } from '../io/temporary';

type Files = Record<string, string>;
interface Recipes {
  TASKS: string[];
  LABELS: Record<string, string[]>;
  RESUMED: string[];
  runsOf(task: string): { name: string; base: { task: string; family: string } }[];
  writeFolder(dir: string, files: Files): void;
}
interface Stored {
  commit: string;
  tokenizers: Record<string, Files>;
  bases: Record<string, Files>;
  runs: Record<string, { files: Files; logits: { cpu: string; reference: string } }>;
  checkpoints: Record<string, Files>;
}
interface Seen {
  opened: Record<string, { task: string; labelNames: string[]; cpu: string; reference: string }>;
  resumed: Record<string, { file: string; content: string; firstStep: number }>;
}

const { TASKS, LABELS, RESUMED, runsOf, writeFolder } = require('./recipes.cjs') as Recipes;
const file = path.join(__dirname, '..', 'fixtures', 'compat', 'folders.json.gz');
const stored = JSON.parse(gunzipSync(fs.readFileSync(file)).toString()) as Stored;
const runs = TASKS.flatMap(runsOf);
const dir = temporaryFolder();
let seen: Seen;

/** Base64 of little-endian floats, as the numbers that a person can compare. */
const numbers = (base64: string) => {
  const bytes = Buffer.from(base64, 'base64');
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
};

beforeAll(() => {
  for (const [name, files] of Object.entries(stored.bases)) {
    writeFolder(path.join(dir, 'bases', name), files);
    writeFolder(path.join(dir, 'bases', name), stored.tokenizers[name.split('-')[0]!]!);
  }
  for (const { name, base } of runs) {
    const { files } = stored.runs[name]!;
    writeFolder(path.join(dir, 'runs', name), files);
    // A whole model has its tokenizer beside it; an adapter took the base's.
    if (files['config.json']) writeFolder(path.join(dir, 'runs', name), stored.tokenizers[base.family]!);
  }
  for (const [name, files] of Object.entries(stored.checkpoints)) writeFolder(path.join(dir, 'resumed', name), files);
  const script = path.join(__dirname, 'open_folders.cjs');
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--require', 'tsx/cjs', script, dir], {
    env: { ...process.env, NODE_OPTIONS: '', FUSED_LORA_CPU_ISA: 'portable', HF_HUB_OFFLINE: '1' },
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  if (status !== 0) throw new Error(`open_folders.cjs ended with ${status}: ${stderr}`);
  seen = JSON.parse(stdout) as Seen;
}, 60_000);

it('has every task with every method, and is of the commit that it names', () => {
  expect(stored.commit.startsWith('92a1661')).toBe(true);
  expect(Object.keys(stored.runs)).toEqual(runs.map(({ name }) => name));
  expect(runs).toHaveLength(96);
});

it.each(runs.map(({ name, base }) => [name, base.task]))(
  '%s: the same task, labels and bits of logits',
  (name, task) => {
    const { cpu, reference, ...model } = seen.opened[name]!;
    const { logits } = stored.runs[name]!;
    expect(model).toEqual({ task, labelNames: LABELS[task] ?? [] });
    expect(numbers(cpu)).toEqual(numbers(logits.cpu));
    expect(numbers(reference)).toEqual(numbers(logits.reference));
  },
);

it.each(RESUMED)('%s: a checkpoint of then ends in the bytes of the uninterrupted run of then', (name) => {
  const { file: weights, content, firstStep } = seen.resumed[name]!;
  expect(firstStep).toBe(3);
  expect(content.length).toBeGreaterThan(400);
  expect(content === stored.runs[name]!.files[weights]).toBe(true);
});
