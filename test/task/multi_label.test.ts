/**
 * Multi-label classification: fineTune, evaluate and
 * classify with a threshold, config.json, files, bad input.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { TextExample } from '../../src/data/examples/example';
import { readExamples } from '../../src/data/read/read_examples';
import { loadModel } from '../../src/models';
import { classify } from '../../src/task/classify';
import { evaluate } from '../../src/task/evaluate';
import { type FineTuneOptions, fineTune } from '../../src/task/fine_tune';
import { openTextModel } from '../../src/task/text_model';
import { temporaryFolder } from '../io/temporary';
import { TINY, taggedSentences } from './tasks';

jest.setTimeout(120_000);

const dir = temporaryFolder();
const settings = (name: string): Omit<FineTuneOptions, 'train'> => ({
  model: TINY,
  task: 'multi-label-classification',
  outputDir: path.join(dir, name),
  epochs: 6,
  batchSize: 8,
  learningRate: 3e-3,
  device: 'cpu',
});

const WORDS = { film: 'cinema', music: 'sound', book: 'print' } as const;

/** `the film and the book .` with a label for each thing in it; one sentence in eight has none. */
function things(): TextExample[] {
  const subsets = Array.from({ length: 8 }, (_, bits) => Object.keys(WORDS).filter((_, i) => (bits >> i) & 1));
  return ['was good', 'was bad', 'is here', 'is there'].flatMap((end) =>
    subsets.map((words) => ({
      text: `${words.length ? words.map((word) => `the ${word}`).join(' and ') : 'it'} ${end} .`,
      label: words.map((word) => WORDS[word as keyof typeof WORDS]),
    })),
  );
}

describe('labels that exclude no other', () => {
  const output = path.join(dir, 'adapter');
  const data = [...things(), ...things(), ...things()];

  it('are learnt', async () => {
    const { textModel, labelNames, metrics } = await fineTune({ ...settings('adapter'), train: data, dev: things() });
    expect(labelNames).toEqual(['cinema', 'print', 'sound']);
    expect(Object.keys(metrics!)).toEqual(['loss', 'microF1', 'macroF1', 'exactMatch']);
    expect(metrics!['microF1']).toBeGreaterThan(0.95);
    expect(metrics!['exactMatch']).toBeGreaterThan(0.9);
    textModel.model.dispose();
  });

  it('are predicted each by itself, above a threshold', async () => {
    const textModel = await openTextModel(output);
    expect(textModel.model.task).toBe('multi-label-classification');
    const texts = ['the film and the book was good .', 'it is here .'];
    const [both, none] = await classify(textModel, texts, { device: 'cpu' });
    expect(both!.labels).toEqual(['cinema', 'print']);
    expect(none!.labels).toEqual([]);
    expect(Object.keys(both!.probabilities!)).toEqual(['cinema', 'print', 'sound']);
    const least = Math.min(...Object.values(none!.probabilities!)) / 2;
    const [, all] = await classify(textModel, texts, { device: 'cpu', threshold: least });
    expect(all!.labels).toEqual(['cinema', 'print', 'sound']);
    const strict = await evaluate(textModel, things(), { device: 'cpu', threshold: 1 - 1e-12 });
    expect(strict.metrics).toMatchObject({ microF1: 0, macroF1: 0, exactMatch: 1 / 8 });
    await expect(classify(textModel, texts, { threshold: 1 })).rejects.toThrow(/threshold is 1; it must be/);
    textModel.model.dispose();
  });

  it("stand in config.json as transformers' problem_type", async () => {
    const train = things();
    const { textModel } = await fineTune({ ...settings('full'), train, method: 'full', maxSteps: 1 });
    textModel.model.dispose();
    const folder = path.join(dir, 'full');
    expect(JSON.parse(fs.readFileSync(path.join(folder, 'config.json'), 'utf8'))).toMatchObject({
      problem_type: 'multi_label_classification',
      id2label: { 0: 'cinema', 1: 'print', 2: 'sound' },
    });
    expect(loadModel(folder).model.task).toBe('multi-label-classification');
  });
});

it('files give lists of names or class ids, or names with commas between', async () => {
  const jsonl = path.join(dir, 'a.jsonl');
  fs.writeFileSync(jsonl, '{"text":"a","label":["x","z"]}\n{"text":"b","label":[]}\n{"text":"c","label":[1]}\n');
  const tsv = path.join(dir, 'a.tsv');
  fs.writeFileSync(tsv, 'text\tlabel\na\tx, z\nb\t\nc\ty\n');
  const labelNames = ['x', 'y', 'z'];
  const losses: number[] = [];
  for (const [name, file] of Object.entries({ jsonl, tsv })) {
    const train = await readExamples(file);
    const options = { ...settings(name), train, labelNames, maxSteps: 1 };
    const { textModel, training } = await fineTune({ ...options, callbacks: [] });
    const { metrics } = await evaluate(textModel, train, { device: 'cpu' });
    losses.push(metrics['loss']!);
    expect(training.steps).toBe(1);
    textModel.model.dispose();
  }
  expect(losses[0]).toBe(losses[1]);
});

describe('bad input', () => {
  it.each<[string, Partial<FineTuneOptions>, RegExp]>([
    ['no label', { train: [{ text: 'a', place: 'x:1' }] }, /x:1: has no label/],
    ['no label anywhere', { train: [{ text: 'a', label: [] }] }, /no labels; a classifier needs at least one/],
    ['an unknown one', { labelNames: ['cinema', 'sound'] }, /example 4: unknown label "print"/],
    ['a list where one is needed', { task: 'sequence-classification' }, /example 0: has a list of labels where one/],
    ['words', { train: taggedSentences(1, 1) }, /has a list of tokens, but multi-label-classification needs a text/],
    ['class weights', { classWeights: [1, 1, 1] }, /classWeights is for tasks with one class a text or word/],
    ['smoothing', { labelSmoothing: 0.1 }, /labelSmoothing is for tasks with one class/],
  ])('%s', async (_, options, message) => {
    await expect(fineTune({ ...settings('bad'), train: things(), ...options })).rejects.toThrow(message);
  });
});
