/**
 * Frozen weights in int8 and NF4 through a whole job: training, the files, opening on full weights,
 * merging, prediction in any company. The products themselves: native/test/int8_tests.cc; values of
 * NF4 against bitsandbytes: test/oracle/nf4.test.ts.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { BaseWeights } from '../../src/graph/base_weights';
import { addAdapter, mergeAndUnload, setActiveAdapters } from '../../src/lora';
import { loraLinears } from '../../src/lora/registry';
import { Classifier, classify } from '../../src/task/classify';
import { evaluate } from '../../src/task/evaluate';
import { fineTune } from '../../src/task/fine_tune';
import { planTraining } from '../../src/task/plan_training';
import { openTextModel, type TextModel } from '../../src/task/text_model';
import { temporaryFolder } from '../io/temporary';
import { fillAll } from './several_adapters';
import { reviews, TINY } from './tasks';

jest.setTimeout(120_000);

const dir = temporaryFolder();
const dev = reviews(60, 2);
const texts = dev.map(({ text }) => text).slice(0, 12);
const FORMS = ['int8', 'nf4'] as const satisfies readonly BaseWeights[];

const train = (name: string, baseWeights: BaseWeights, onNotice: (line: string) => void = () => {}) =>
  fineTune({
    ...{ model: TINY, outputDir: path.join(dir, name), train: reviews(96, 1), dev, epochs: 3, batchSize: 8 },
    ...{ learningRate: 3e-3, device: 'cpu', precision: 'fp32', baseWeights, onNotice },
  });

const fileOf = (name: string, file: string) => path.join(dir, name, file);
const recordOf = (name: string) => JSON.parse(fs.readFileSync(fileOf(name, 'fused_lora.json'), 'utf8'));

describe.each(FORMS)('an adapter on %s weights', (form) => {
  const notices: string[] = [];
  let textModel: TextModel;

  beforeAll(async () => {
    const { textModel: trained, metrics, baseWeights } = await train(form, form, (line) => notices.push(line));
    trained.model.dispose();
    expect(baseWeights).toBe(form);
    expect(metrics!['accuracy']).toBeGreaterThan(0.95);
    notices.push('— opened —');
    textModel = await openTextModel(path.join(dir, form), { onNotice: (line) => notices.push(line) });
  });
  afterAll(() => textModel.model.dispose());

  it('says so in its files, in a place that PEFT does not read', () => {
    expect(recordOf(form)).toMatchObject({ precision: 'fp32', baseWeights: form });
    expect(fs.readFileSync(fileOf(form, 'adapter_config.json'), 'utf8')).not.toMatch(/baseWeights|quant/);
  });

  it('says so while it trains, and when it is opened on full weights', () => {
    const opened = notices.indexOf('— opened —');
    expect(notices.slice(0, opened)).toContainEqual(expect.stringContaining(`base weights ${form}`));
    expect(notices.slice(opened)).toContainEqual(expect.stringContaining(`trained on the ${form} weights of its base`));
  });

  it('answers a text alone as among others, of whatever size, and nearly as on full weights', async () => {
    const options = { device: 'cpu', precision: 'fp32', baseWeights: form } as const;
    using classifier = new Classifier(textModel, options);
    const together = await classifier.predict(texts);
    for (const [i, text] of texts.entries()) expect((await classifier.predict([text]))[0]).toEqual(together[i]);
    const full = await classify(textModel, texts, { ...options, baseWeights: 'fp32' });
    expect(together).not.toEqual(full);
    together.forEach(({ label, probability }, i) => {
      expect(label).toBe(full[i]!.label);
      expect(Math.abs(probability! - full[i]!.probability!)).toBeLessThan(0.05);
    });
  });

  it('answers as alone in a batch of several adapters', async () => {
    const opened = await openTextModel(TINY, { task: 'sequence-classification', labelNames: ['no', 'yes'] });
    addAdapter(opened.model, { r: 4, targetModules: 'all-linear' }, { name: 'a', seed: 1 });
    addAdapter(opened.model, { r: 2, targetModules: ['query'] }, { name: 'b', seed: 2 });
    fillAll(opened.model);
    const options = { device: 'cpu', precision: 'fp32', baseWeights: form } as const;
    const mixed = await classify(
      opened,
      texts.map((text, i) => ({ text, adapter: i % 2 === 0 ? 'a' : 'b' })),
      options,
    );
    for (const [i, name] of ['a', 'b'].entries()) {
      setActiveAdapters(opened.model, name);
      const alone = await classify(opened, texts, options);
      expect(mixed.filter((_, t) => t % 2 === i)).toEqual(alone.filter((_, t) => t % 2 === i));
    }
    opened.model.dispose();
  });

  it('merges into the full weights', async () => {
    const merged = await openTextModel(path.join(dir, form));
    const [, layer] = [...loraLinears(merged.model)][0]!;
    const { weight } = layer.base_layer;
    const before = weight.data().slice();
    const separate = await classify(merged, texts, { device: 'cpu', precision: 'fp32' });
    mergeAndUnload(merged.model);
    expect(weight.data()).not.toEqual(before);
    const whole = await classify(merged, texts, { device: 'cpu', precision: 'fp32' });
    for (const [i, { probability }] of whole.entries()) expect(probability).toBeCloseTo(separate[i]!.probability!, 4);
    merged.model.dispose();
  });

  it('is measured on either', async () => {
    for (const baseWeights of [form, 'fp32'] as const) {
      const { metrics } = await evaluate(textModel, dev, { device: 'cpu', precision: 'fp32', baseWeights });
      expect(metrics['accuracy']).toBeGreaterThan(0.95);
    }
  });
});

describe('a plan', () => {
  const plan = (baseWeights: BaseWeights) =>
    planTraining({
      ...{ model: TINY, train: reviews(8, 1), batchSizes: [8], measureSeconds: 0 },
      ...{ device: 'cpu', precision: 'fp32', baseWeights },
    });

  it('counts what the weights are held in', async () => {
    const [full, int8, nf4] = [await plan('fp32'), await plan('int8'), await plan('nf4')];
    expect(int8.baseWeights).toBe('int8');
    expect(int8.weightBytes).toBeLessThan(full.weightBytes);
    expect(nf4.weightBytes).toBeLessThan(int8.weightBytes);
    expect(int8.instructions).toMatch(/loraLinear.*int8/);
  });
});

describe('what is refused', () => {
  const refused = (options: object) =>
    fineTune({ model: TINY, outputDir: path.join(dir, 'refused'), train: reviews(8, 1), device: 'cpu', ...options });

  it.each([
    [{ baseWeights: 'int4' }, /baseWeights is 'int4'; it must be one of fp32, int8, nf4/],
    [{ baseWeights: 'int8', method: 'full' }, /baseWeights is "int8" .*method/],
    [{ baseWeights: 'nf4', method: { trainable: 'query' } }, /baseWeights is "nf4" .*method/],
  ])('%j', async (options, message) => {
    await expect(refused(options)).rejects.toThrow(message);
  });
});
