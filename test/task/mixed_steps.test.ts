/**
 * Runs on different texts in mixed steps: each ends in the bytes that it has alone, whatever seeds,
 * ranks, rates, labels, batches and lengths the others have, with any number of threads, and
 * stopped and resumed as well. Which runs share a batch: fine_tune_together.test.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { native } from '../../src/native';
import { type FineTuneOptions, fineTune } from '../../src/task/fine_tune';
import { failure, temporaryFolder } from '../io/temporary';
import { ratings, reviews, TINY } from './tasks';

jest.setTimeout(240_000);

const dir = temporaryFolder();
const FILES = ['adapter_model.safetensors', 'fused_lora.json'];
type Run = Omit<FineTuneOptions, 'outputDir'>;

/** The tiny encoder, with dropout in its layers. */
function encoder(): string {
  const folder = path.join(dir, 'encoder');
  if (fs.existsSync(folder)) return folder;
  fs.cpSync(TINY, folder, { recursive: true });
  const file = path.join(folder, 'config.json');
  const config = JSON.parse(fs.readFileSync(file, 'utf8')) as Record<string, unknown>;
  const dropout = { attention_probs_dropout_prob: 0.1, hidden_dropout_prob: 0.1 };
  fs.writeFileSync(file, JSON.stringify({ ...config, ...dropout }));
  return folder;
}

const thirds = ['low', 'middle', 'high'];

/** Other texts, seeds, ranks, rates, heads, batch sizes, numbers of steps. */
function runs(): Record<string, Run> {
  const common = { model: encoder(), maxLength: 32, device: 'cpu' as const };
  return {
    // 12 steps, evaluated after each epoch.
    mood: {
      ...{ ...common, train: reviews(24, 5), dev: reviews(8, 6), metricForBest: 'accuracy', seed: 1, batchSize: 4 },
      ...{ epochs: 2, lora: { r: 4, targetModules: ['query', 'value'], loraDropout: 0.1 }, learningRate: 2e-3 },
    },
    // 4 steps of two batches each, the last one of one.
    stars: {
      ...{ ...common, train: ratings(20, 7), task: 'regression', seed: 2, batchSize: 3, gradientAccumulation: 2 },
      ...{ epochs: 1, lora: { r: 8, targetModules: 'all-linear' }, maxGradNorm: 0.1 },
    },
    // 7 steps of an epoch that has 8.
    third: {
      ...{ ...common, train: reviews(32, 9).map(({ text }, i) => ({ text, label: thirds[i % 3]! })), seed: 3 },
      ...{ batchSize: 4, maxSteps: 7, lora: { r: 30, targetModules: ['dense'], layersToTransform: [1, 3] } },
    },
    // Nothing of its own in the encoder.
    head: { ...common, train: reviews(16, 11), method: 'head', seed: 4, batchSize: 4, epochs: 1 },
  };
}

const bytes = (at: string, name: string) =>
  FILES.map((file) => fs.readFileSync(path.join(dir, at, name, file)).toString('base64'));

async function alone(name: string, run: Run, at = 'alone'): Promise<void> {
  const { textModel } = await fineTune({ ...run, outputDir: path.join(dir, at, name) });
  textModel.model.dispose();
}

/** Of each run, what it said of mixed steps. */
async function together(all: Record<string, Run>, at: string, more: Partial<FineTuneOptions> = {}): Promise<string[]> {
  const notices = new Map<string, string>();
  const results = await fineTune(
    Object.entries(all).map(([name, run]) => ({
      ...{ ...run, ...more, outputDir: path.join(dir, at, name) },
      onNotice: (line: string) => {
        if (/together/.test(line)) notices.set(name, line);
      },
    })),
  );
  for (const { textModel } of results) textModel.model.dispose();
  return Object.keys(all).map((name) => notices.get(name) as string);
}

const threads = native().info().threads;
afterEach(() => native().setThreads(threads));

it('runs on different texts end in the bytes that each has alone', async () => {
  const all = runs();
  for (const [name, run] of Object.entries(all)) await alone(name, run);
  for (const count of [1, 2, 3]) {
    native().setThreads(count);
    const notices = await together(all, `mixed-${count}`);
    // Two go on when the others have ended; the last steps of one are by itself.
    expect(notices).toEqual(
      [7, 7, 7, 4].map((n) => `together with other runs: ${n} batches ran in mixed steps with other batches`),
    );
    for (const name of Object.keys(all))
      expect([name, bytes(`mixed-${count}`, name)]).toEqual([name, bytes('alone', name)]);
  }
});

it.each([
  ['bf16 products', { precision: 'bf16' }],
  ['int8 weights', { baseWeights: 'int8' }],
  ['NF4 weights', { baseWeights: 'nf4', precision: 'bf16' }],
] as const)('with %s too', async (title, settings) => {
  const { mood, third } = runs();
  const all = { mood: { ...mood!, ...settings, maxSteps: 3 }, third: { ...third!, ...settings, maxSteps: 3 } };
  for (const [name, run] of Object.entries(all)) await alone(name, run, `${title}-alone`);
  expect((await together(all, title)).every((line) => /3 batches ran in mixed steps/.test(line))).toBe(true);
  for (const name of Object.keys(all)) expect(bytes(title, name)).toEqual(bytes(`${title}-alone`, name));
});

it('runs that were stopped go on in mixed steps to the same bytes', async () => {
  const all = runs();
  const stop = new AbortController();
  const [first, ...others] = Object.entries(all);
  const stopping: Run = {
    ...(first![1] as Run),
    // Within an epoch, and between the batches of a step of another run.
    callbacks: [{ onStep: ({ step }) => (step === 5 ? stop.abort() : undefined) }],
  };
  const stopped = Object.fromEntries([[first![0], stopping], ...others]);
  await failure('ABORTED', together(stopped, 'stopped', { signal: stop.signal }));
  // The run of 4 steps has ended by then.
  expect(fs.existsSync(path.join(dir, 'stopped', 'mood', FILES[0]!))).toBe(false);
  const notices = await together(all, 'stopped', { resume: true });
  expect(notices[0]).toMatch(/ran in mixed steps/);
  for (const [name, run] of Object.entries(all)) {
    if (!fs.existsSync(path.join(dir, 'alone', name))) await alone(name, run);
    expect([name, bytes('stopped', name)]).toEqual([name, bytes('alone', name)]);
  }
});

it('runs that can not be mixed take turns', async () => {
  const { mood, third, head } = runs();
  const few = { maxSteps: 2 };
  const other = { ...third!, ...few, precision: 'bf16' as const };
  const large = { ...head!, ...few, train: reviews(400, 3), batchSize: 200 };
  const all = { mood: { ...mood!, ...few, precision: 'fp32' as const }, other, large };
  for (const line of await together(all, 'turns'))
    expect(line).toMatch(/^no batch ran together with one of another run/);
  for (const [name, run] of Object.entries(all)) {
    await alone(name, run, 'turns-alone');
    expect(bytes('turns', name)).toEqual(bytes('turns-alone', name));
  }
});
