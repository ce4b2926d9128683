/**
 * fineTune, evaluate and classify on sentences: classes,
 * numbers, what is written, the methods, bad input.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { classify } from '../../src/task/classify';
import { evaluate } from '../../src/task/evaluate';
import { type FineTuneOptions, fineTune } from '../../src/task/fine_tune';
import { openTextModel } from '../../src/task/text_model';
import { temporaryFolder } from '../io/temporary';
import { ratings, reviews, TINY } from './tasks';

jest.setTimeout(120_000);

const dir = temporaryFolder();
const settings = (name: string): Omit<FineTuneOptions, 'train'> => ({
  model: TINY,
  outputDir: path.join(dir, name),
  epochs: 3,
  batchSize: 8,
  learningRate: 3e-3,
  device: 'cpu',
});

describe('classes', () => {
  const dev = reviews(60, 2);
  const output = path.join(dir, 'adapter');
  let metrics: Record<string, number>;

  it('are learnt, and a notice says what is new in the model', async () => {
    const notices: string[] = [];
    const { textModel, ...result } = await fineTune({
      ...settings('adapter'),
      train: reviews(160, 1),
      dev,
      onNotice: (line) => notices.push(line),
    });
    metrics = result.metrics!;
    expect(result).toMatchObject({ method: 'lora', labelNames: ['negative', 'positive'], output: { kind: 'adapter' } });
    expect(result.parameters.learnable).toBeLessThan(result.parameters.total / 5);
    expect(result.training.steps).toBe(60);
    expect(Object.keys(metrics)).toEqual(['loss', 'accuracy', 'f1', 'matthews']);
    expect(metrics['accuracy']).toBeGreaterThan(0.95);
    expect(notices).toEqual([
      expect.stringMatching(/^device: cpu/),
      'task: sequence-classification (the default)',
      expect.stringMatching(/^labels: negative 80 \+ 36, positive 80 \+ 24 \(rows of train \+ dev\)/),
      expect.stringMatching(/^length: at most 128 tokens \(positions of .*\), 0 of 160 texts of train are longer/),
      'f1: of the label positive',
      'new: classifier (not in the checkpoint); saved with the result',
    ]);
    textModel.model.dispose();
  });

  it('are the same after reading the adapter, in any company and batch size', async () => {
    const textModel = await openTextModel(output);
    const again = await evaluate(textModel, dev, { device: 'cpu', batchSize: 7 });
    expect(again.examples).toBe(60);
    expect(again.metrics['accuracy']).toBe(metrics['accuracy']);
    expect(again.metrics['loss']).toBeCloseTo(metrics['loss']!, 6);
    const texts = ['the film is great .', 'the acting is awful .', 'the music is funny and the story is not .'];
    const together = await classify(textModel, texts, { device: 'cpu' });
    const [alone] = await classify(textModel, [{ text: texts[1]! }], { device: 'cpu' });
    expect(alone).toEqual(together[1]);
    expect(together.slice(0, 2).map(({ label }) => label)).toEqual(['positive', 'negative']);
    for (const { label, probability, probabilities } of together) {
      expect(probability).toBe(probabilities![label!]);
      expect(probabilities!['positive']! + probabilities!['negative']!).toBeCloseTo(1, 12);
    }
    expect(await classify(textModel, [], { device: 'cpu' })).toEqual([]);
    textModel.model.dispose();
  });

  it.each(['full', 'head', { trainable: 'layer\\.3|classifier' }] as const)('by the method %p', async (method) => {
    const name = typeof method === 'string' ? method : 'trainable';
    const train = reviews(16, 1);
    const { textModel, output: written } = await fineTune({ ...settings(name), train, method, maxSteps: 2 });
    expect(written.kind).toBe(method === 'head' ? 'adapter' : 'model');
    const again = await openTextModel(written.folder);
    const texts = ['the film is great .', 'the acting is awful .'];
    const [before, after] = [await classify(textModel, texts), await classify(again, texts)];
    expect(after.map(({ probability }) => probability)).toEqual(before.map(({ probability }) => probability));
    textModel.model.dispose();
    again.model.dispose();
  });

  it('of numbers are named by them; names may be given', async () => {
    const train = reviews(8, 1).map(({ text, label }) => ({ text, label: label === 'positive' ? 2 : 0 }));
    const numbered = await fineTune({ ...settings('numbers'), train, maxSteps: 1 });
    expect(numbered.labelNames).toEqual(['0', '2']);
    numbered.textModel.model.dispose();
    const labelNames = ['bad', 'so-so', 'good'];
    const named = await fineTune({ ...settings('names'), train, labelNames, maxSteps: 1, overwrite: true });
    expect(named.labelNames).toEqual(labelNames);
    named.textModel.model.dispose();
  });
});

describe('regression', () => {
  const output = path.join(dir, 'rating');

  it('learns numbers', async () => {
    const { textModel, metrics } = await fineTune({
      ...settings('rating'),
      task: 'regression',
      train: ratings(160, 1),
      dev: ratings(60, 2),
      metricForBest: 'pearson',
    });
    expect(Object.keys(metrics!)).toEqual(['loss', 'mse', 'pearson', 'spearman']);
    expect(metrics!['mse']).toBeCloseTo(metrics!['loss']!, 5);
    expect(metrics!['mse']).toBeLessThan(0.3);
    expect(metrics!['pearson']).toBeGreaterThan(0.9);
    textModel.model.dispose();
  });

  it('gives them back from its folder', async () => {
    const textModel = await openTextModel(output);
    expect(textModel.model.task).toBe('regression');
    const [good, bad] = await classify(textModel, ['the film is great .', 'the film is awful .'], { device: 'cpu' });
    expect(good!.values).toHaveLength(1);
    expect(good!.values![0]).toBeGreaterThan(0.3);
    expect(bad!.values![0]).toBeLessThan(-0.3);
    expect(JSON.parse(fs.readFileSync(path.join(output, 'adapter_config.json'), 'utf8'))).toMatchObject({
      task_type: 'SEQ_CLS',
    });
    textModel.model.dispose();
  });

  it('takes numbers alone', async () => {
    const train = [...ratings(4, 1), { text: 'x', label: 'good' }];
    await expect(fineTune({ ...settings('bad'), task: 'regression', train })).rejects.toThrow(
      /example 4: the label is "good"; regression needs a finite number/,
    );
  });
});

describe('bad input', () => {
  const train = reviews(8, 1);
  it.each<[string, Partial<FineTuneOptions>, RegExp]>([
    ['an unknown label', { labelNames: ['positive', 'neutral'] }, /example \d: unknown label "negative"/],
    ['no label', { train: [...train, { text: 'x', place: 'a.tsv:9' }] }, /a.tsv:9: has no label/],
    ['no rows', { train: [] }, /the data has no labels/],
    ['weights of another number', { classWeights: [1, 2, 3] }, /classWeights has 3 numbers, the model 2 classes/],
    ['a task that is none', { task: 'parsing' as 'regression' }, /task is "parsing"/],
  ])('%s', async (_, options, message) => {
    await expect(fineTune({ ...settings('bad'), train, ...options })).rejects.toThrow(message);
  });

  it('an output folder with checkpoints of another run, unless it may go', async () => {
    const options = { ...settings('again'), train, maxSteps: 1 };
    (await fineTune(options)).textModel.model.dispose();
    await expect(fineTune(options)).rejects.toThrow(/holds checkpoints of an earlier run/);
    (await fineTune({ ...options, overwrite: true })).textModel.model.dispose();
  });
});
