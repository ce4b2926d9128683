/**
 * Word embeddings in int8 through a whole job: training, the files, opening on full ones, merging,
 * memory, refusals. Weights of layers: base_weights.test.ts; the op itself, to the bit:
 * native/test/int8_tests.cc.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { plan as planGraph } from '../../src/graph/plan';
import { mergeAndUnload } from '../../src/lora';
import { trace } from '../../src/nn';
import { Classifier, classify } from '../../src/task/classify';
import { fineTune } from '../../src/task/fine_tune';
import { planTraining } from '../../src/task/plan_training';
import { openTextModel, type TextModel } from '../../src/task/text_model';
import { temporaryFolder } from '../io/temporary';
import { reviews, TINY } from './tasks';

jest.setTimeout(120_000);

const dir = temporaryFolder();
const dev = reviews(60, 2);
const texts = dev.map(({ text }) => text).slice(0, 12);
const CPU = { device: 'cpu', precision: 'fp32' } as const;

describe('an adapter on int8 embeddings', () => {
  const notices: string[] = [];
  const outputDir = path.join(dir, 'int8');
  let textModel: TextModel;

  beforeAll(async () => {
    const result = await fineTune({
      ...{ model: TINY, outputDir, train: reviews(96, 1), dev, epochs: 3, batchSize: 8, learningRate: 3e-3 },
      ...{ ...CPU, embeddingWeights: 'int8', onNotice: (line) => notices.push(line) },
    });
    result.textModel.model.dispose();
    expect(result.embeddingWeights).toBe('int8');
    expect(result.baseWeights).toBe('fp32');
    expect(result.metrics!['accuracy']).toBeGreaterThan(0.95);
    expect(notices).toContainEqual(expect.stringMatching(/precision fp32, embeddings int8/));
    textModel = await openTextModel(outputDir, { onNotice: (line) => notices.push(line) });
  });
  afterAll(() => textModel.model.dispose());

  it('says so in its record, and when it is opened on full ones', () => {
    const record = JSON.parse(fs.readFileSync(path.join(outputDir, 'fused_lora.json'), 'utf8'));
    expect(record).toMatchObject({ embeddingWeights: 'int8' });
    expect(record).not.toHaveProperty('baseWeights');
    expect(notices).toContainEqual(expect.stringContaining('trained on the int8 embeddings of its base'));
    expect(notices).toContainEqual(expect.stringContaining('unless embeddingWeights (--embedding-weights) says'));
  });

  it('answers a text alone as among others, and nearly as on full ones', async () => {
    using classifier = new Classifier(textModel, { ...CPU, embeddingWeights: 'int8' });
    const together = await classifier.predict(texts);
    for (const [i, text] of texts.entries()) expect((await classifier.predict([text]))[0]).toEqual(together[i]);
    const full = await classify(textModel, texts, CPU);
    expect(together).not.toEqual(full);
    together.forEach(({ label, probability }, i) => {
      expect(label).toBe(full[i]!.label);
      expect(Math.abs(probability! - full[i]!.probability!)).toBeLessThan(0.05);
    });
  });

  it('is merged into full weights, which keep their embeddings', async () => {
    const merged = await openTextModel(outputDir);
    const words = [...merged.model.namedParameters()].find(([name]) => name.endsWith('word_embeddings.weight'))![1];
    const before = words.data().slice();
    const separate = await classify(merged, texts, CPU);
    mergeAndUnload(merged.model);
    expect(words.data()).toEqual(before);
    const whole = await classify(merged, texts, CPU);
    for (const [i, { probability }] of whole.entries()) expect(probability).toBeCloseTo(separate[i]!.probability!, 4);
    merged.model.dispose();
  });

  it('holds a byte a value and a scale a row', () => {
    const bytesOf = (embeddingWeights: 'fp32' | 'int8') =>
      planGraph(trace(textModel.model, { training: false, loss: false }), { train: false, embeddingWeights })
        .weightBytes;
    const { vocabSize, hiddenSize } = textModel.model.config;
    expect(bytesOf('fp32') - bytesOf('int8')).toBe(vocabSize * (3 * hiddenSize - 4));
  });
});

it('is in a plan, beside int8 layers', async () => {
  const { embeddingWeights, instructions } = await planTraining({
    ...{ model: TINY, train: reviews(8, 1), batchSizes: [8], measureSeconds: 0 },
    ...{ ...CPU, baseWeights: 'int8', embeddingWeights: 'int8' },
  });
  expect(embeddingWeights).toBe('int8');
  expect(instructions).toMatch(/embeddingSum.*int8/);
});

describe('what is refused', () => {
  it.each([
    [{ embeddingWeights: 'nf4' }, /embeddingWeights is 'nf4'; it must be one of fp32, int8/],
    [{ method: 'full' }, /embeddingWeights is "int8" .*method/],
    [{ method: { trainable: 'word_embeddings' } }, /embeddingWeights is "int8" .*method/],
    [
      { lora: { r: 2, targetModules: ['query'], modulesToSave: ['classifier', 'word_embeddings'] } },
      /embeddingWeights is int8 .*word_embeddings.* is trained/,
    ],
  ])('%j', async (options, message) => {
    const run = fineTune({
      ...{ model: TINY, outputDir: path.join(dir, 'refused'), train: reviews(8, 1), ...CPU },
      ...({ embeddingWeights: 'int8', ...options } as object),
    });
    await expect(run).rejects.toThrow(message);
  });
});
