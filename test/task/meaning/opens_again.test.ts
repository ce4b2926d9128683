/**
 * After training, opening the folder in a fresh process with another seed gives the same bits of
 * logits: every task, method and kind of base (with or without pooler, head and key prefix), with
 * task and labels told by the data or the base. The bases are those of test/compat.
 */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { gunzipSync } from 'node:zlib';
import * as library from '../../../src';
import { temporaryFolder } from '../../io/temporary';

type Files = Record<string, string>;
interface Run {
  name: string;
  method: 'lora' | 'full' | 'head';
  base: { task: string; family: string; head: boolean; pooler: boolean };
}
interface Recipes {
  TASKS: string[];
  LABELS: Record<string, string[]>;
  runsOf(task: string): Run[];
  nameOfBase(base: Run['base']): string;
  optionsOf(run: Run): Record<string, unknown>;
  writeFolder(dir: string, files: Files): void;
  logitsOf(of: typeof library, textModel: library.TextModel, backend: string): Promise<string>;
}
type Seen = Record<string, { task: string; labelNames: string[]; logits: string }>;

const recipes = require('../../compat/recipes.cjs') as Recipes;
const { TASKS, LABELS, runsOf, nameOfBase, optionsOf, writeFolder, logitsOf } = recipes;
const file = path.join(__dirname, '..', '..', 'fixtures', 'compat', 'folders.json.gz');
const stored = JSON.parse(gunzipSync(fs.readFileSync(file)).toString()) as {
  tokenizers: Record<string, Files>;
  bases: Record<string, Files>;
};
const runs = TASKS.flatMap(runsOf);
const dir = temporaryFolder();
const trained: Seen = {};
const saved: Record<string, string[]> = {};
let opened: Seen;

beforeAll(async () => {
  for (const [name, files] of Object.entries(stored.bases)) {
    writeFolder(path.join(dir, 'bases', name), { ...stored.tokenizers[name.split('-')[0]!]!, ...files });
  }
  for (const run of runs) {
    const { task: _, labelNames: __, ...options } = optionsOf(run);
    const { textModel } = await library.fineTune({
      ...(options as unknown as library.FineTuneOptions),
      model: path.join(dir, 'bases', nameOfBase(run.base)),
      outputDir: path.join(dir, 'runs', run.name),
      maxSteps: 2,
      checkpointEvery: 100,
      seed: 7,
    });
    const { task, labelNames } = textModel.model;
    trained[run.name] = { task, labelNames, logits: await logitsOf(library, textModel, 'cpu') };
    textModel.model.dispose();
    const config = path.join(dir, 'runs', run.name, 'adapter_config.json');
    if (fs.existsSync(config)) saved[run.name] = JSON.parse(fs.readFileSync(config, 'utf8')).modules_to_save;
  }
  const script = path.join(__dirname, 'open_again.cjs');
  const names = JSON.stringify(runs.map(({ name }) => name));
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--require', 'tsx/cjs', script, dir, names], {
    env: { ...process.env, NODE_OPTIONS: '', HF_HUB_OFFLINE: '1' },
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  if (status !== 0) throw new Error(`open_again.cjs ended with ${status}: ${stderr}`);
  opened = JSON.parse(stdout) as Seen;
}, 120_000);

it.each(runs.map((run) => [run.name, run] as const))('%s: the same bits of logits', (name, { base }) => {
  expect(opened[name]).toEqual(trained[name]);
  expect(trained[name]).toMatchObject({ task: base.task, labelNames: LABELS[base.task] ?? [] });
});

it('a pooler and a head that no file had are in the adapter', () => {
  const lora = runs.filter(({ method, base }) => method === 'lora' && base.task !== 'token-classification');
  for (const { name, base } of lora) {
    const pooler = base.family === 'bert' && !base.pooler ? ['bert.pooler'] : [];
    expect([name, saved[name]]).toEqual([name, ['classifier', ...pooler]]);
  }
});
