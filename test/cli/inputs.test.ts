/**
 * Data of every form on the command line: pairs, gzip, shards, a
 * dev split, streams, numbers; what is mistyped; the hub offline.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { gzipSync } from 'node:zlib';
import { temporaryFolder } from '../io/temporary';
import { makeFiles, run } from './command';

jest.setTimeout(240_000);

const dir = temporaryFolder();
const { model, train } = makeFiles(dir);
const pairs = path.join(dir, 'pairs.csv.gz');
const rows = fs
  .readFileSync(train, 'utf8')
  .trimEnd()
  .split('\n')
  .slice(1)
  .map((line) => line.split('\t') as [string, string]);
fs.writeFileSync(pairs, gzipSync(`a,b,same\n${rows.map(([text, label]) => `"${text}",again,${label}\n`).join('')}`));
const shards = path.join(dir, 'shards');
fs.mkdirSync(shards);
rows.forEach(([text, label], i) => {
  const score = label === 'positive' ? 1.5 : -1.5;
  fs.appendFileSync(path.join(shards, `part-${i % 2}.jsonl`), `${JSON.stringify({ text, label, score })}\n`);
});

const base = ['train', '--model', model, '--method', 'head', '--max-steps', '3', '--quiet', '--device', 'cpu'];
const output = (name: string) => path.join(dir, name);
const json = (name: string) => JSON.parse(fs.readFileSync(output(name), 'utf8'));

test('pairs from a gzipped CSV file, a dev split, and predictions', async () => {
  const columns = ['--text-column', 'a', '--text-pair-column', '1', '--label-column', 'same'];
  const split = ['--dev-split', '0.25', '--json', output('pairs.json')];
  const trained = await run([...base, '--train', pairs, ...columns, ...split, '--output', output('pairs')]);
  expect(trained).toMatchObject({ code: 0, stderr: '' });
  expect(json('pairs.json')).toMatchObject({ examples: { train: 120, dev: 40 }, labelNames: ['negative', 'positive'] });
  expect(trained.stdout).toMatch(/accuracy \d/);
  const evaluated = await run(['eval', pairs, '--adapter', output('pairs'), ...columns, '--quiet']);
  expect(evaluated).toMatchObject({ code: 0, stdout: expect.stringMatching(/accuracy/) });
  const predicted = await run(['predict', '--adapter', output('pairs'), '--file', pairs, ...columns]);
  const lines = predicted.stdout.trimEnd().split('\n');
  expect(lines).toHaveLength(rows.length);
  expect(JSON.parse(lines[0] as string)).toMatchObject({
    text: rows[0]![0],
    textPair: 'again',
    label: expect.any(String),
  });
});

test('a file without a line is an error, a blank line an answer that is told, no text a line', async () => {
  const adapter = ['predict', '--adapter', output('pairs')];
  const file = (name: string, content: string) => {
    fs.writeFileSync(path.join(dir, name), content);
    return path.join(dir, name);
  };
  const blank = file('blank.txt', 'good\n\n \n');
  const empty = file('empty.txt', '');
  const [none, some, nothing] = await Promise.all([
    run([...adapter, '--file', empty]),
    run([...adapter, '--file', blank]),
    run(adapter),
  ]);
  expect(none).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(`${empty}: has no lines`) });
  expect(some.stdout.trimEnd().split('\n')).toHaveLength(3);
  expect(some.stderr).toContain(`${blank}:2: its text is empty; it is classified all the same`);
  expect(some.stderr).toContain('2 of 3 texts were empty');
  expect(nothing).toMatchObject({
    code: 0,
    stdout: '',
    stderr: expect.stringContaining('standard input: has no text'),
  });
});

test('a folder of shards as a stream, and the same as files and a glob', async () => {
  const stream = ['--stream', '--shuffle-window', '50'];
  const adapters: Buffer[] = [];
  for (const [i, data] of [
    [shards],
    [0, 1].map((n) => path.join(shards, `part-${n}.jsonl`)),
    [path.join(shards, '*.jsonl')],
  ].entries()) {
    const done = await run([...base, ...stream, '--train', ...data, '--output', output(`stream-${i}`)]);
    expect(done).toMatchObject({ code: 0, stderr: '' });
    adapters.push(fs.readFileSync(path.join(output(`stream-${i}`), 'adapter_model.safetensors')));
  }
  expect(adapters.every((bytes) => bytes.equals(adapters[0] as Buffer))).toBe(true);
});

test('numbers: regression with the best state by Pearson', async () => {
  const args = ['--task', 'regression', '--label-column', 'score', '--dev-split', '0.2', '--metric', 'pearson'];
  const done = await run([...base, '--train', shards, ...args, '--output', output('numbers')]);
  expect(done).toMatchObject({ code: 0, stdout: expect.stringMatching(/pearson .*spearman/) });
  const predicted = await run(['predict', '--adapter', output('numbers'), 'what a film']);
  expect(JSON.parse(predicted.stdout).values).toEqual([expect.any(Number)]);
});

test.each<[string, string[], RegExp]>([
  [
    'a column',
    ['--train', shards, '--label-column', 'lable'],
    /INVALID_DATA.*part-0\.jsonl:1: has no field "lable"; was "label" meant/,
  ],
  ['a folder', ['--train', path.join(dir, 'nothing')], /INVALID_ARGUMENT/],
  ['both', ['--train', shards, '--dev', shards, '--dev-split', '0.1'], /--dev-split and dev are both given/],
  ['an option', ['--train', shards, '--dev-splt', '0.1'], /unknown option '--dev-splt'.*Did you mean --dev-split/s],
])('%s that is mistaken', async (_, args, message) => {
  const done = await run([...base, ...args, '--output', output('mistaken')]);
  expect(done.code).toBe(1);
  expect(done.stderr).toMatch(message);
  expect(fs.existsSync(path.join(output('mistaken'), 'adapter_config.json'))).toBe(false);
});

test('a name on the hub that was never downloaded, offline', async () => {
  const args = ['train', '--model', 'someone/model', '--offline', '--train', shards, '--output', output('hub')];
  const done = await run(args, { env: { HF_HOME: path.join(dir, 'hf') } });
  expect(done.code).toBe(1);
  expect(done.stderr).toMatch(/FILE_NOT_FOUND.*someone\/model: its revision main is not in the cache/);
});
