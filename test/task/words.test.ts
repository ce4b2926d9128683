/**
 * Token classification from end to end: fineTune, files,
 * evaluate, classify, the PEFT folder, bad input.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { Classifier, classify } from '../../src/task/classify';
import { evaluate } from '../../src/task/evaluate';
import { type FineTuneOptions, fineTune } from '../../src/task/fine_tune';
import { openTextModel } from '../../src/task/text_model';
import { temporaryFolder } from '../io/temporary';
import { TINY, taggedSentences } from './tasks';

jest.setTimeout(120_000);

const dir = temporaryFolder();
const NAMES = ['B-LOC', 'B-PER', 'I-LOC', 'I-PER', 'O'];
const settings = (name: string): Omit<FineTuneOptions, 'train'> => ({
  model: TINY,
  task: 'token-classification',
  outputDir: path.join(dir, name),
  epochs: 2,
  batchSize: 8,
  learningRate: 5e-3,
  device: 'cpu',
});
const dev = taggedSentences(60, 2);

describe('a tagger', () => {
  const output = path.join(dir, 'adapter');
  let metrics: Record<string, number>;

  it('learns names and places', async () => {
    const train = taggedSentences(240, 1);
    const { textModel, ...result } = await fineTune({ ...settings('adapter'), train, dev, metricForBest: 'f1' });
    metrics = result.metrics!;
    expect(result.labelNames).toEqual(NAMES);
    expect(Object.keys(metrics)).toEqual(['loss', 'accuracy', 'precision', 'recall', 'f1']);
    expect(metrics['accuracy']).toBeGreaterThan(0.95);
    expect(metrics['f1']).toBeGreaterThan(0.9);
    textModel.model.dispose();
  });

  it('is written as a PEFT folder of its task', () => {
    const json = (name: string) => JSON.parse(fs.readFileSync(path.join(output, name), 'utf8')) as object;
    expect(json('adapter_config.json')).toMatchObject({ peft_type: 'LORA', task_type: 'TOKEN_CLS' });
    expect(json('fused_lora.json')).toMatchObject({ task: 'token-classification', labelNames: NAMES });
  });

  it('is the same when it is opened again', async () => {
    const textModel = await openTextModel(output);
    const again = await evaluate(textModel, dev, { device: 'cpu' });
    expect(again.metrics['f1']).toBe(metrics['f1']);
    expect(again.metrics['loss']).toBeCloseTo(metrics['loss']!, 6);
    textModel.model.dispose();
  });

  it('predicts a label a word, and entities', async () => {
    const textModel = await openTextModel(output);
    const tokens = ['Maria', 'Stone', 'left', 'New', 'York', '.'];
    const [words, text] = await classify(textModel, [{ tokens }, tokens.join(' ')], { device: 'cpu' });
    expect(words).toEqual(text);
    expect(words!.words!.map(({ word }) => word)).toEqual(tokens);
    expect(words!.words!.map(({ label }) => label)).toEqual(['B-PER', 'I-PER', 'O', 'B-LOC', 'I-LOC', 'O']);
    expect(words!.entities).toEqual([
      { type: 'PER', start: 0, end: 2, text: 'Maria Stone' },
      { type: 'LOC', start: 3, end: 5, text: 'New York' },
    ]);
    for (const { probability } of words!.words!) expect(probability).toBeGreaterThan(0.5);
    textModel.model.dispose();
  });

  it('says nothing of words that it has not seen', async () => {
    const textModel = await openTextModel(output, { maxLength: 4 });
    using classifier = new Classifier(textModel, { device: 'cpu' });
    const [cut, empty] = await classifier.predict(['Anna left Rome .', '']);
    expect(cut!.words!.map(({ label }) => label === null)).toEqual([false, false, true, true]);
    expect(empty).toEqual({ words: [], entities: [] });
    textModel.model.dispose();
  });
});

it('labels that are no entity tags are measured by word', async () => {
  const train = taggedSentences(16, 1).map(({ tokens, labels }) => ({
    tokens,
    labels: labels!.map((label) => (label === 'O' ? 'OTHER' : 'NAME')),
  }));
  const { textModel, metrics } = await fineTune({ ...settings('pos'), train, dev: train, maxSteps: 2 });
  expect(Object.keys(metrics!)).toEqual(['loss', 'accuracy', 'f1', 'matthews']);
  const [prediction] = await classify(textModel, ['Anna left'], { device: 'cpu' });
  expect(Object.keys(prediction!)).toEqual(['words']);
  textModel.model.dispose();
});

describe('bad input', () => {
  const train = taggedSentences(8, 1);
  it.each<[string, Partial<FineTuneOptions>, RegExp]>([
    [
      'texts',
      { train: [{ text: 'a', label: 'b', place: 'x.tsv:2' }] },
      /x.tsv:2: has a text, but token-classification/,
    ],
    ['words for a classifier of texts', { task: 'sequence-classification' }, /example 0: has a list of tokens, but/],
    ['no labels', { train: [{ tokens: ['a'] }] }, /example 0: has no label/],
    ['one label', { train: [{ tokens: ['a'], labels: ['O'] }] }, /the one label "O"/],
    [
      'a dev label that train lacks',
      { dev: [{ tokens: ['a', 'b'], labels: ['O', 'B-ORG'], place: 'dev.jsonl:7' }] },
      /dev.jsonl:7, word 1 \("b"\): unknown label "B-ORG"\. The labels are B-LOC, B-PER/,
    ],
  ])('%s', async (_, options, message) => {
    await expect(fineTune({ ...settings('bad'), train, ...options })).rejects.toThrow(message);
  });
});
