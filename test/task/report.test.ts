/** What fineTune logs and reports of each task agrees with its metrics. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { type DetailsEvent, readRecord } from '../../src/report';
import { type FineTuneOptions, fineTune } from '../../src/task/fine_tune';
import { temporaryFolder } from '../io/temporary';
import { ratings, reviews, TINY, taggedSentences } from './tasks';

jest.setTimeout(300_000);

const dir = temporaryFolder();
let runs = 0;

async function record(options: Pick<FineTuneOptions, 'train' | 'dev' | 'task'> & Partial<FineTuneOptions>) {
  const outputDir = path.join(dir, `run-${++runs}`);
  const result = await fineTune({
    ...{ model: TINY, outputDir, report: true, maxSteps: 6, batchSize: 16, learningRate: 2e-3, checkpointEvery: 1000 },
    ...options,
  });
  result.textModel.model.dispose();
  return { result, outputDir, run: readRecord(outputDir), details: readRecord(outputDir).details as DetailsEvent };
}

const isSorted = ({ hardest }: DetailsEvent) => hardest.every(({ loss }, i) => i === 0 || loss <= hardest[i - 1]!.loss);
const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

test('classes: settings, data and machine at the start, confusion and hardest examples at the end', async () => {
  const dev = reviews(40, 2);
  const { result, run, details, outputDir } = await record({
    train: reviews(160, 1),
    dev,
    metricForBest: 'accuracy',
    evaluateEvery: 2,
  });
  expect(run.start).toMatchObject({
    logVersion: 1,
    task: 'sequence-classification',
    method: 'lora',
    labelNames: ['negative', 'positive'],
    parameters: result.parameters,
    settings: {
      maxSteps: 6,
      batchSize: 16,
      learningRate: 2e-3,
      weightDecay: 0.01,
      seed: 0,
      maxLength: 128,
      lora: { r: 8 },
    },
    data: { train: { examples: 160 }, dev: { examples: 40 } },
  });
  expect(run.start?.settings).not.toHaveProperty('epochs');
  expect(run.start?.machine.threads).toBeGreaterThan(0);
  const { lengthCounts, tokens } = run.start!.data.train;
  expect([sum(lengthCounts), sum(lengthCounts.map((count, length) => count * length))]).toEqual([160, tokens]);
  expect(sum(run.start!.parameterTable.map(([, trained, count]) => trained * count))).toBe(result.parameters.learnable);

  expect(run.steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
  for (const step of run.steps)
    expect(step).toMatchObject({ gradientNorm: expect.any(Number), tokensPerSecond: expect.any(Number) });
  expect(run.evaluations.map(({ step }) => step)).toEqual([2, 4, 6]);
  expect(run.end).toMatchObject({ metrics: result.metrics, output: result.output });
  expect(Object.keys(run.end!.seconds)).toEqual(['loading', 'encoding', 'evaluation', 'training', 'saving', 'total']);

  const confusion = details.confusion as number[][];
  expect(sum(confusion.flat())).toBe(40);
  expect((confusion[0]![0]! + confusion[1]![1]!) / 40).toBeCloseTo(result.metrics!['accuracy'] as number, 10);
  expect(details.scores![1]!.f1).toBeCloseTo(result.metrics!['f1'] as number, 10);
  expect(details.hardest).toHaveLength(25);
  expect(isSorted(details)).toBe(true);
  const [hardest] = details.hardest;
  const example = dev[Number(hardest!.place)]!;
  expect([hardest!.text, hardest!.label]).toEqual([example.text, example.label]);
  // The mean over all is the metric; of the hardest it is more.
  expect(sum(details.hardest.map(({ loss }) => loss)) / 25).toBeGreaterThanOrEqual(result.metrics!['loss'] as number);

  expect(result.report).toBe(path.join(outputDir, 'report.html'));
  expect(fs.readFileSync(result.report as string, 'utf8')).toContain(hardest!.text);
});

test('regression: a point an example, losses are squared errors', async () => {
  const { result, details } = await record({ task: 'regression', train: ratings(64, 1), dev: ratings(30, 2) });
  expect(details.points).toHaveLength(30);
  expect(sum(details.points!.map(([x, y]) => (x - y) ** 2)) / 30).toBeCloseTo(result.metrics!['mse'] as number, 5);
  expect(details.hardest[0]).not.toHaveProperty('probability');
});

test('labels that exclude no other: scores by label', async () => {
  const rows = (count: number, seed: number) =>
    reviews(count, seed).map(({ text, label }) => ({
      text,
      label: text.includes('film') ? [label as string, 'film'] : [label as string],
    }));
  const { result, details } = await record({
    task: 'multi-label-classification',
    train: rows(160, 1),
    dev: rows(40, 2),
  });
  expect(details.scores!.map(({ name }) => name)).toEqual(['film', 'negative', 'positive']);
  expect(sum(details.scores!.map(({ f1 }) => f1)) / 3).toBeCloseTo(result.metrics!['macroF1'] as number, 10);
  expect(isSorted(details)).toBe(true);
});

test('classes of words: confusion of words, scores of entities by type', async () => {
  const dev = taggedSentences(30, 2);
  const options = { task: 'token-classification', train: taggedSentences(100, 1), dev, learningRate: 5e-3 } as const;
  const { result, details } = await record(options);
  const confusion = details.confusion as number[][];
  expect(sum(confusion.flat())).toBe(sum(dev.map(({ tokens }) => tokens.length)));
  expect(sum(confusion.map((row, i) => row[i] as number)) / sum(confusion.flat())).toBeCloseTo(
    result.metrics!['accuracy'] as number,
    10,
  );
  expect(details.scoresOf).toBe('entity type');
  expect(details.scores!.map(({ name }) => name).filter((name) => ['LOC', 'PER'].includes(name))).toEqual([
    'LOC',
    'PER',
  ]);
});

test('a run that fails leaves a log that says why, and a report; without report: true there is none', async () => {
  const outputDir = path.join(dir, 'failed');
  const callbacks = [{ onStep: () => Promise.reject(new Error('told to stop')) }];
  const options = { model: TINY, train: reviews(32, 1), outputDir, callbacks };
  await expect(fineTune({ ...options, report: true })).rejects.toThrow('told to stop');
  expect(readRecord(outputDir).stop).toMatchObject({ code: 'INTERNAL', message: 'told to stop' });
  expect(fs.readFileSync(path.join(outputDir, 'report.html'), 'utf8')).toContain('told to stop');
  await expect(fineTune({ ...options, overwrite: true })).rejects.toThrow('told to stop');
  expect(fs.existsSync(path.join(outputDir, 'report.html'))).toBe(false);
});
