/**
 * Training data in every form: the same result from a list, files and iterables; dev splits;
 * streams, resumed and read once; the hub.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import {
  classify,
  type ExampleData,
  evaluate,
  type FineTuneOptions,
  type FineTuneResult,
  fineTune,
  openTextModel,
} from '../../src';
import { commitOf, HubServer } from '../io/hub/server';
import { temporaryFolder } from '../io/temporary';
import { ratings, reviews, TINY } from './tasks';

jest.setTimeout(240_000);

const dir = temporaryFolder();
const train = reviews(96, 1);
const csv = path.join(dir, 'train.csv');
fs.writeFileSync(csv, `text,label\n${train.map(({ text, label }) => `${text},${label}\n`).join('')}`);
const shards = path.join(dir, 'shards');
fs.mkdirSync(shards);
for (let i = 0; i < 3; i++) {
  const part = train.slice(32 * i, 32 * (i + 1)).map((row) => `${JSON.stringify(row)}\n`);
  fs.writeFileSync(path.join(shards, `part-${i}.jsonl`), part.join(''));
}

let runs = 0;
/** A short run; the model is freed. */
async function run(options: Partial<FineTuneOptions>): Promise<FineTuneResult & { bytes: Buffer }> {
  const outputDir = options.outputDir ?? path.join(dir, `run-${runs++}`);
  const settings = { model: TINY, method: 'head', batchSize: 8, learningRate: 3e-3, device: 'cpu', epochs: 1 } as const;
  const result = await fineTune({ ...settings, train, ...options, outputDir });
  result.textModel.model.dispose();
  return { ...result, bytes: fs.readFileSync(path.join(outputDir, 'adapter_model.safetensors')) };
}

async function* generator() {
  yield* train;
}

describe('in memory', () => {
  let expected: Buffer;
  beforeAll(async () => {
    expected = (await run({})).bytes;
  });

  it.each<[string, () => ExampleData]>([
    ['a CSV file', () => csv],
    ['a folder of shards', () => shards],
    ['a list of files', () => [0, 1, 2].map((i) => path.join(shards, `part-${i}.jsonl`))],
    ['an async iterable', () => generator()],
    ['an iterable', () => new Set(train)],
    ['a function', () => generator],
  ])('%s gives the same bytes as a list', async (_, data) => {
    const { bytes, examples } = await run({ train: data() });
    expect(bytes.equals(expected)).toBe(true);
    expect(examples).toEqual({ train: 96, dev: 0 });
  });

  it('columns of files are chosen by options, pairs too', async () => {
    const file = path.join(dir, 'pairs.csv');
    fs.writeFileSync(file, `a,b,same\n${train.map(({ text, label }) => `${text},${text},${label}\n`).join('')}`);
    const columns = { textColumn: 'a', textPairColumn: 1, labelColumn: 'same' };
    const { bytes } = await run({ train: file, ...columns });
    const pairs = train.map(({ text, label }) => ({ text, textPair: text, label }));
    expect(bytes.equals((await run({ train: pairs })).bytes)).toBe(true);
    const textModel = await openTextModel(path.join(dir, `run-${runs - 1}`));
    const fromFile = await evaluate(textModel, file, { ...columns, device: 'cpu' });
    expect(fromFile.metrics).toEqual((await evaluate(textModel, pairs, { device: 'cpu' })).metrics);
    textModel.model.dispose();
  });

  it('class names come from what Parquet files tell, in their order', async () => {
    const file = path.join(__dirname, '..', 'fixtures', 'parquet', 'named.parquet');
    expect((await run({ train: file, maxSteps: 1 })).labelNames).toEqual(['worse', 'better']);
    expect((await run({ train: file, maxSteps: 1, labelNames: ['better', 'worse'] })).labelNames).toEqual([
      'better',
      'worse',
    ]);
  });
});

describe('a dev split', () => {
  it('is set aside by seed and measured on', async () => {
    const notices: string[] = [];
    const { metrics, examples } = await run({ devSplit: 0.25, onNotice: (line) => notices.push(line) });
    expect(examples).toEqual({ train: 72, dev: 24 });
    expect(metrics!['accuracy']).toBeGreaterThanOrEqual(0);
    expect(notices).toContain('24 of 96 examples set aside to measure on');
  });

  it('tells who trains a few steps alone why little is learnt, unless they were asked for', async () => {
    const notices: string[] = [];
    const onNotice = (line: string) => notices.push(line);
    await run({ batchSize: 48, onNotice });
    expect(notices).toContainEqual(expect.stringMatching(/^only 2 steps in all.*batchSize.*epochs/));
    await expect(run({ model: '../no/such/folder' })).rejects.toThrow(/^\.\.\/no\/such\/folder: is not a folder/);
  });

  it('excludes a dev set and a stream', async () => {
    await expect(run({ devSplit: 0.1, dev: train })).rejects.toThrow(/devSplit and dev are both given/);
    await expect(run({ devSplit: 0.1, stream: true })).rejects.toThrow(/devSplit needs the data in memory/);
    await expect(run({ shuffleWindow: 5 })).rejects.toThrow(/shuffleWindow is for stream: true/);
  });
});

describe('regression', () => {
  it('from a file, the best state by Spearman, predictions as numbers', async () => {
    const file = path.join(dir, 'ratings.csv');
    const rows = ratings(160, 1).map(({ text, label }) => `${text},${label}\n`);
    fs.writeFileSync(file, `text,score\n${rows.join('')}`);
    const options = {
      train: file,
      labelColumn: 'score',
      task: 'regression',
      devSplit: 0.2,
      method: 'lora',
      epochs: 3,
    } as const;
    const { metrics, training } = await run({ ...options, evaluateEvery: 5, metricForBest: 'spearman' });
    expect(Object.keys(metrics!)).toEqual(['loss', 'mse', 'pearson', 'spearman']);
    expect(metrics!['pearson']).toBeGreaterThan(0.8);
    expect(training.bestMetric).toBeCloseTo(metrics!['spearman']!, 6);
    const textModel = await openTextModel(path.join(dir, `run-${runs - 1}`));
    const [good, bad] = await classify(textModel, ['the film is great .', 'the film is awful .'], { device: 'cpu' });
    expect(good!.values![0]).toBeGreaterThan(bad!.values![0]!);
    textModel.model.dispose();
  });
});

describe('a stream', () => {
  const stream = { stream: true, shuffleWindow: 40, epochs: 2 } as const;

  it('of files, lists and functions of the same examples trains to the same bytes, twice the same', async () => {
    const { bytes, examples, training, labelNames } = await run({ ...stream, train: csv });
    expect({ examples, labelNames }).toEqual({ examples: { train: 96, dev: 0 }, labelNames: ['negative', 'positive'] });
    expect(training.steps).toBeGreaterThanOrEqual(24);
    expect(bytes.equals((await run({ ...stream, train })).bytes)).toBe(true);
    expect(bytes.equals((await run({ ...stream, train: generator })).bytes)).toBe(true);
    expect(bytes.equals((await run({ ...stream, train: csv, seed: 1 })).bytes)).toBe(false);
  });

  it('of shards, aborted in the midst and resumed, ends in the same bytes', async () => {
    const whole = await run({ ...stream, train: shards });
    const outputDir = path.join(dir, 'aborted');
    const controller = new AbortController();
    const callbacks = [{ onStep: ({ step }: { step: number }) => void (step === 17 && controller.abort()) }];
    const stopped = run({ ...stream, train: shards, outputDir, callbacks, signal: controller.signal });
    await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' });
    expect(fs.readdirSync(outputDir)).toContain('checkpoint-17');
    const resumed = await run({ ...stream, train: shards, outputDir, resume: true });
    expect(resumed.bytes.equals(whole.bytes)).toBe(true);
    fs.appendFileSync(path.join(shards, 'part-2.jsonl'), '{"text": "one more", "label": "positive"}\n');
    await expect(run({ ...stream, train: shards, outputDir, resume: true })).rejects.toMatchObject({
      code: 'STATE_MISMATCH',
    });
  });

  it('that can be read once needs steps and labels, trains to its end, and is not resumed', async () => {
    const once = { stream: true, shuffleWindow: 40 } as const;
    const labelNames = ['negative', 'positive'];
    await expect(run({ ...once, train: generator() })).rejects.toThrow(
      /labels are not known before training: give labelNames/,
    );
    await expect(run({ ...once, train: generator(), labelNames })).rejects.toThrow(/give maxSteps/);
    const resume = run({ ...once, train: generator(), labelNames, maxSteps: 5, resume: true });
    await expect(resume).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/can not be resumed/),
    });
    const short = await run({ ...once, train: generator(), labelNames, maxSteps: 5 });
    expect([short.training.steps, short.examples.train]).toEqual([5, null]);
    const all = await run({ ...once, train: generator(), labelNames, maxSteps: 1000, dev: train, report: true });
    expect(fs.readFileSync(all.report as string, 'utf8')).toContain('</html>');
    expect(all.training.steps).toBeGreaterThanOrEqual(12);
    expect(all.training.steps).toBeLessThan(20);
    expect(all.metrics!['accuracy']).toBeGreaterThanOrEqual(0);
  });

  it('is checked before anything is trained', async () => {
    const bad = async function* () {
      yield* train;
      yield { text: 'x', label: 'neutral' };
    };
    const labelNames = ['negative', 'positive'];
    const steps: number[] = [];
    const callbacks = [{ onStep: ({ step }: { step: number }) => void steps.push(step) }];
    await expect(run({ ...stream, train: bad, labelNames, callbacks })).rejects.toThrow(
      /example 96: unknown label "neutral"/,
    );
    expect(steps).toEqual([]);
  });
});

describe('the hub', () => {
  const server = new HubServer();
  const before = { ...process.env };
  beforeAll(async () => {
    await server.start();
    const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
    const files = Object.fromEntries(names.map((name) => [name, fs.readFileSync(path.join(TINY, name))]));
    server.repositories.set('models/someone/tiny', { refs: { main: commitOf('a'), v2: commitOf('b') }, files });
    server.repositories.set('datasets/someone/reviews', {
      refs: { main: commitOf('c') },
      files: { 'train.csv': fs.readFileSync(csv) },
    });
    Object.assign(process.env, { HF_ENDPOINT: server.endpoint, HF_HOME: path.join(dir, 'hf') });
  });
  afterAll(async () => {
    process.env = before;
    await server.stop();
  });

  it('gives model and data by name; the adapter names the model and revision, and is opened by them', async () => {
    const outputDir = path.join(dir, 'of-the-hub');
    const options = {
      model: 'someone/tiny',
      revision: 'v2',
      train: 'hf://datasets/someone/reviews/train.csv',
      outputDir,
    };
    const { bytes } = await run(options);
    expect(bytes.equals((await run({})).bytes)).toBe(true);
    const config = JSON.parse(fs.readFileSync(path.join(outputDir, 'adapter_config.json'), 'utf8'));
    expect(config).toMatchObject({ base_model_name_or_path: 'someone/tiny', revision: 'v2' });
    const textModel = await openTextModel(outputDir, { offline: true });
    expect(textModel.baseModel).toContain(commitOf('b'));
    textModel.model.dispose();
  });

  it('says so where a name is neither a folder nor on the hub', async () => {
    await expect(run({ model: 'no-such-model', token: 'hf_x' })).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      message: expect.stringMatching(/no-such-model.*a path to a folder here was not found either/s),
    });
  });
});

it('an option that is mistyped is named', async () => {
  await expect(run({ trian: csv } as never)).rejects.toThrow(/fineTune: has no option "trian". Did you mean train\?/);
  await expect(openTextModel(TINY, { maxLenght: 5 } as never)).rejects.toThrow(/Did you mean maxLength\?/);
});
