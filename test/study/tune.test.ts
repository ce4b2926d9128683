/** A study from its first trial to its table, whole, interrupted, joined and with folds. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { FusedLoraError } from '../../src/base/errors';
import { tableOf } from '../../src/cli/tune';
import { type StudyResults, tune } from '../../src/study';
import { Journal } from '../../src/study/journal/journal_file';
import { paramsOf } from '../../src/study/journal/records';
import type { TuneOptions } from '../../src/study/options';
import { KeptStates } from '../../src/train/kept_states';
import { failure, temporaryFolder } from '../io/temporary';
import { reviews, TINY } from '../task/tasks';
import { tinyModel } from './tiny';

jest.setTimeout(120_000);

const dir = temporaryFolder();
const common: Omit<TuneOptions, 'outputDir'> = {
  model: tinyModel(dir),
  train: reviews(72, 1),
  dev: reviews(40, 2),
  testSplit: 0.25,
  epochs: 2,
  batchSize: 8,
  device: 'cpu',
  trials: 3,
  startup: 2,
  repeats: 2,
  space: {
    learningRate: [
      { loguniform: [1e-4, 3e-2], when: { method: 'lora' } },
      { loguniform: [1e-4, 3e-2], when: { method: ['full', 'head'] } },
    ],
    method: ['head', 'full', 'lora'],
    'lora.r': [2, 4],
  },
};
const study = (name: string, more: Partial<TuneOptions> = {}): TuneOptions => ({
  ...common,
  outputDir: path.join(dir, name),
  ...more,
});
/** Every trial with its parameters, reports and end; times and workers left out. */
const trialsIn = (name: string) =>
  new Journal(path.join(dir, name, 'journal.log')).read().studies.map(({ name: of, trials }) => [
    of,
    trials.map((trial) => ({
      params: paramsOf(trial),
      state: trial.state,
      value: trial.value,
      reports: [...trial.reports],
    })),
  ]);

let whole: StudyResults;

beforeAll(async () => {
  whole = await tune(study('whole'));
});

test('baselines have as many trials as LoRA, and each best setting runs again with other seeds', () => {
  expect(whole.methods.map(({ method, trials }) => [method, trials.complete + trials.stopped + trials.failed])).toEqual(
    [
      ['head', 3],
      ['full', 3],
      ['lora', 3],
    ],
  );
  expect(whole.methods.reduce((sum, { trials }) => sum + trials.stopped, 0)).toBeGreaterThan(0);
  for (const { dev, test, params, method } of whole.methods) {
    expect([dev.count, test?.count]).toEqual([2, 2]);
    expect(Object.keys(params).includes('lora.r')).toBe(method === 'lora');
  }
  expect(whole.examples).toEqual({ train: 54, dev: 40, test: 18 });
  const seeds = new Journal(path.join(dir, 'whole', 'journal.log'))
    .read()
    .study('search/repeats')!
    .trials.map(paramsOf);
  expect(seeds.map(({ seed }) => seed)).toEqual([1, 2, 1, 2, 1, 2]);
  expect(whole.comparisons.map(({ first, second }) => `${first} ${second}`)).toEqual([
    'full head',
    'lora head',
    'lora full',
  ]);
});

test('differences are those of the dev values, and the table has them', () => {
  const meanOf = (name: string) => whole.methods.find(({ method }) => method === name)!.dev.mean;
  for (const { first, second, bootstrap, mcNemar } of whole.comparisons) {
    expect(bootstrap.difference).toBeCloseTo(meanOf(first) - meanOf(second), 10);
    expect(bootstrap.low).toBeLessThanOrEqual(bootstrap.difference);
    expect(mcNemar!.p).toBeGreaterThan(0);
  }
  const table = tableOf(whole);
  for (const { method, dev } of whole.methods) {
    expect(table).toContain(`${dev.mean.toFixed(4)} ± ${dev.deviation.toFixed(4)} (2)`);
    expect(table).toMatch(new RegExp(`^${method}: .*learningRate`, 'm'));
  }
});

test('only logs are left of runs that are not kept', () => {
  expect(fs.readdirSync(path.join(dir, 'whole', 'trials', '0000'))).toEqual(['events.jsonl']);
  expect(fs.readdirSync(path.join(dir, 'whole', 'repeats', '0004'))).toContain('adapter_model.safetensors');
  expect(fs.readdirSync(path.join(dir, 'whole', 'claims'))).toEqual([]);
});

test('a study that is stopped again and again ends in the same trials and results', async () => {
  // Stopped before a run or within it, and while a last line was written.
  for (const [at, ms] of [
    [3, 0],
    [4, 50],
    [6, 70],
    [8, 30],
  ] as const) {
    const controller = new AbortController();
    const stop = () => controller.abort(new FusedLoraError('ABORTED', 'by the test'));
    let count = 0;
    const onNotice = () => {
      if (++count === at) setTimeout(stop, ms);
    };
    await failure('ABORTED', tune(study('stopped', { signal: controller.signal, onNotice })));
    fs.appendFileSync(path.join(dir, 'stopped', 'journal.log'), '{"op_code": 7, "tri');
  }
  expect(await tune(study('stopped'))).toEqual(whole);
  expect(trialsIn('stopped')).toEqual(trialsIn('whole'));
  // What is finished is read, not computed.
  expect(await tune(study('stopped'))).toEqual(whole);
});

test('two workers share one study, and each trial is done once', async () => {
  const workers = [tune(study('shared', { trials: 1, repeats: 1 })), tune(study('shared', { trials: 1, repeats: 1 }))];
  const [a, b] = await Promise.all(workers);
  expect(a).toEqual(b);
  const [search, repeats] = trialsIn('shared') as [[string, unknown[]], [string, unknown[]]];
  expect([search[1].length, repeats[1].length]).toEqual([3, 3]);
});

test('other options, other data and a folder of another study are refused', async () => {
  expect(await failure('INVALID_ARGUMENT', tune(study('whole', { trials: 5 })))).toContain('another trials: 3, now 5');
  expect(await failure('INVALID_ARGUMENT', tune(study('whole', { epochs: 5 })))).toContain('another run');
  expect(await failure('INVALID_DATA', tune(study('whole', { train: reviews(72, 3) })))).toContain('train or dev');
});

test.each([
  [{ trials: 0 }, 'trials is 0'],
  [{ folds: 3 }, 'folds and dev'],
  [{ test: reviews(4, 3) }, 'test and testSplit'],
  [{ sampler: 'grid' as 'tpe' }, 'tpe or quasi-random'],
  [{ metricForBest: 'acuracy' }, 'accuracy'],
  [{ outputDir: '' }, 'folder of the study'],
  [{ outputDir: TINY }, 'has a model (config.json)'],
  [{ testSplit: 0.001 }, 'testSplit is 0.001'],
  [{ space: { batchSize: { int: [-4, 8] } } }, 'space: "batchSize" can be -4'],
  [{ space: { warmupRatio: { uniform: [0, 2] } } }, 'space: "warmupRatio" can be 2'],
  [
    { space: { method: ['upper'], frozenLayers: { int: [0, 2] } } },
    '"frozenLayers" can be 2, and the model has 2 layers',
  ],
  [{ space: { method: ['upper'], frozenLayers: [-1] } }, 'whole numbers from 0 to 1'],
  [{ keepFrozen: 1 as never }, 'keepFrozen is 1'],
  [{ spaces: {} } as Partial<TuneOptions>, 'space'],
  [{ trainSizes: [1000] }, '54 training examples'],
] as [Partial<TuneOptions>, string][])('%j is refused', async (more, message) => {
  expect(await failure('INVALID_ARGUMENT', tune(study('wrong', more)))).toContain(message);
});

test('the preset for little data ends with the layers of the model; head trials share what frozen layers give', async () => {
  const keepFrozen = new KeptStates();
  const { train, dev } = { train: reviews(24, 1), dev: reviews(12, 2) };
  const small = { space: 'small-data', trials: 1, repeats: 1, epochs: 1, train, dev, keepFrozen, baselines: false };
  const results = await tune(study('small', small));
  const upper = results.methods.find(({ method }) => method === 'upper');
  expect(upper?.params['frozenLayers']).toBe(1);
  // 24 + 12 + 6 texts at most, the head's of one row of 16 numbers each.
  expect(keepFrozen.bytes.memory).toBeGreaterThan(0);
  const { options } = JSON.parse(fs.readFileSync(path.join(dir, 'small', 'study.json'), 'utf8')) as { options: object };
  expect(options).toMatchObject({ keepFrozen: true });
});

test('folds measure every example by a model that did not see it; sizes make a learning curve', async () => {
  const { dev: _, ...others } = study('folds', {
    folds: 2,
    trials: 2,
    repeats: 1,
    baselines: false,
    space: { 'lora.r': [2, 4] },
  });
  const results = await tune(others);
  expect(results.methods.map(({ method }) => method)).toEqual(['lora']);
  expect(results.examples).toEqual({ train: 54, dev: 54, test: 18 });
  const sizes = await tune(
    study('sizes', { trials: 1, repeats: 2, baselines: false, space: { 'lora.r': [2] }, trainSizes: [8, 24] }),
  );
  expect(sizes.methods[0]!.trainSizes.map(({ size, dev }) => [size, dev.count])).toEqual([
    [8, 2],
    [24, 2],
  ]);
});
