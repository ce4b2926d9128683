/**
 * Several adapters for each text: each answer has the bits of its adapter alone, what the adapters
 * share stands in the plan once, and each adapter has its own labels. Another adapter for each text
 * is mixed_adapters.test.ts.
 */
import * as path from 'node:path';
import type { TaskSettings } from '../../src/base/tasks';
import { plan } from '../../src/graph/plan';
import { Graph } from '../../src/graph/value';
import {
  adapterNames,
  addAdapter,
  CLASSIFIER_ONLY,
  combineAdapters,
  deleteAdapter,
  type LoraConfig,
  mergeAndUnload,
  renameAdapter,
  saveAdapter,
  setActiveAdapters,
} from '../../src/lora';
import { withAdaptersFor } from '../../src/lora/registry';
import { saveModel, type TaskModel } from '../../src/models';
import { Classifier, classify } from '../../src/task/classify';
import { writeRecord } from '../../src/task/meaning/record';
import { MixedEvaluator } from '../../src/task/mixed_evaluator';
import { ModelEvaluator } from '../../src/task/model_evaluator';
import { SharedEvaluator, sharedCost } from '../../src/task/shared_evaluator';
import { addTextAdapter } from '../../src/task/text_adapters';
import { openTextModel, type TextModel } from '../../src/task/text_model';
import { errorMessage, failure, temporaryFolder } from '../io/temporary';
import { fillAdapters, tinyRoberta } from '../lora/models';
import { encodedExamples, fillAll, MODELS } from './several_adapters';
import { TINY } from './tasks';

jest.setTimeout(120_000);

/** Adapters that begin to differ at other places of the upper layer, with heads of their own. */
const ADAPTERS: Record<string, LoraConfig> = {
  queries: { r: 4, targetModules: ['query'], layersToTransform: [1] },
  keys: { r: 2, targetModules: ['key', 'value'], layersToTransform: [1] },
  outputs: { r: 3, targetModules: '.*layer\\.1\\.output\\.dense' },
  norms: { r: 2, targetModules: ['intermediate.dense'], layersToTransform: [1], modulesToSave: ['1.output.LayerNorm'] },
  head: { pattern: CLASSIFIER_ONLY },
};
const NAMES = Object.keys(ADAPTERS);

function withAdapters(model: TaskModel, adapters = ADAPTERS): TaskModel {
  for (const [i, [name, config]] of Object.entries(adapters).entries()) addAdapter(model, config, { name, seed: i });
  fillAll(model);
  return model;
}

describe('several adapters for each text', () => {
  test.each(MODELS)('%s: logits are those of each adapter alone, bit for bit', async (_name, make) => {
    const model = withAdapters(make());
    const examples = encodedExamples(model, 17);
    using shared = new SharedEvaluator(model, NAMES);
    const logits = await shared.run(examples, { tokenBudget: 64 });
    const seen = new Set<string>();
    for (const name of NAMES) {
      setActiveAdapters(model, name);
      using alone = new ModelEvaluator(model, { loss: false });
      const wanted = (await alone.run(examples, { tokenBudget: 100 })).logits;
      expect(logits.get(name)).toEqual(wanted);
      seen.add(String(wanted[0]));
    }
    expect(seen.size).toBe(NAMES.length);
  });

  it('the base runs once, up to the layer that one of them changes', () => {
    const model = withAdapters(tinyRoberta());
    const sizes = { T: 320, S: 10, M: 0 };
    const cost = sharedCost(model, NAMES, sizes);
    expect(cost).toMatchObject({ sharedLayers: 1, layers: 2 });
    expect(cost.ratio).toBeCloseTo(cost.flops.each / cost.flops.shared, 12);
    expect(cost.ratio).toBeGreaterThan(2);
    // Below the whole of the heads nothing differs.
    addAdapter(model, { pattern: CLASSIFIER_ONLY }, 'other');
    expect(sharedCost(model, ['head', 'other'], sizes).sharedLayers).toBe(2);
    addAdapter(model, { r: 2, targetModules: ['query'] }, 'everywhere');
    expect(sharedCost(model, ['head', 'everywhere'], sizes).sharedLayers).toBe(0);
  });

  it('what is shared in the last layer runs for first tokens alone, as it does without sharing', () => {
    const model = withAdapters(tinyRoberta(), { a: ADAPTERS['outputs']!, b: ADAPTERS['outputs']! });
    model.nameTree();
    const graph = new Graph(false);
    for (const name of ['a', 'b']) {
      graph.outputs.set(
        name,
        withAdaptersFor(model, [name], () => model.forwardLogits(graph)),
      );
    }
    const rows = (at: string) =>
      plan(graph, { train: false })
        .instructions.filter(({ path: where, op }) => where.endsWith(at) && op !== 'gatherRows')
        .map(({ outputs }) => outputs[0]?.shape[0]);
    expect(rows('layer.1.intermediate.dense')).toEqual(['S']);
    expect(rows('layer.1.attention.self.query')).toEqual(['S']);
    expect(rows('layer.1.attention.self.key')).toEqual(['T']);
    expect(rows('layer.1.output.dense')).toEqual(['S', 'S']);
  });
});

const INTENT: TaskSettings = { task: 'sequence-classification', numLabels: 3, labelNames: ['buy', 'ask', 'leave'] };
const TOXIC: TaskSettings = { task: 'multi-label-classification', numLabels: 2, labelNames: ['rude', 'threat'] };
const STARS: TaskSettings = { task: 'regression', numLabels: 1, labelNames: [] };
const TASKS = { intent: INTENT, toxic: TOXIC, stars: STARS };

describe('adapters with labels of their own', () => {
  const dir = temporaryFolder();
  const at = (name: string) => path.join(dir, name);
  const texts = ['the story is good', 'an awful ending , and long', 'music'];
  let textModel: TextModel;

  beforeAll(async () => {
    for (const [i, [name, { task, labelNames, numLabels }]] of Object.entries(TASKS).entries()) {
      const options = task === 'regression' ? { task, numLabels } : { task, labelNames };
      const opened = await openTextModel(TINY, { ...options, seed: i, threshold: name === 'toxic' ? 0.3 : undefined });
      const { model } = opened;
      addAdapter(model, { r: 2, targetModules: ['query', 'value'] }, { seed: i });
      fillAll(model, 0.05);
      saveAdapter(model, at(name), { baseModel: TINY, extra: (folder) => writeRecord(folder, opened) });
      model.dispose();
    }
    textModel = await openTextModel(at('intent'));
    renameAdapter(textModel.model, 'default', 'intent');
    expect(await addTextAdapter(textModel, at('toxic'))).toBe('toxic');
    expect(await addTextAdapter(textModel, at('stars'), { name: 'grade' })).toBe('grade');
    renameAdapter(textModel.model, 'grade', 'stars');
  });
  afterAll(() => textModel.model.dispose());

  const alone = async (name: string, options: { precision?: 'fp32' } = {}) => {
    const opened = await openTextModel(at(name));
    const predictions = await classify(opened, texts, options);
    opened.model.dispose();
    return predictions;
  };

  it('answer each with them, for all texts, for each text, and when they are active', async () => {
    const wanted = Object.fromEntries(
      await Promise.all(Object.keys(TASKS).map(async (name) => [name, await alone(name)] as const)),
    );
    expect(Object.keys(wanted['intent']![0]!.probabilities!)).toEqual(INTENT.labelNames);
    expect(wanted['toxic']![0]!.labels).toBeDefined();
    expect(wanted['stars']![0]!.values).toHaveLength(1);
    const names = Object.keys(TASKS);
    const each = await classify(textModel, texts, { adapters: names });
    expect(each).toEqual(texts.map((_, i) => Object.fromEntries(names.map((name) => [name, wanted[name]![i]]))));
    const mixed = await classify(
      textModel,
      texts.map((text, i) => ({ text, adapter: names[i] as string })),
    );
    expect(mixed).toEqual(names.map((name, i) => wanted[name]![i]));
    expect(textModel.model.labelNames).toEqual(INTENT.labelNames);
    for (const name of ['toxic', 'stars', 'intent']) {
      setActiveAdapters(textModel.model, name);
      expect(textModel.model.numLabels).toBe(TASKS[name as 'toxic'].numLabels);
      expect(await classify(textModel, texts)).toEqual(wanted[name]);
    }
  });

  it('refuses what can not answer together, by name', async () => {
    using classifier = new Classifier(textModel);
    expect(await classifier.predictEach([], ['intent'])).toEqual([]);
    expect(await failure('INVALID_ARGUMENT', classifier.predictEach(texts, ['intend']))).toMatch(
      /no adapter "intend"; it has: intent, toxic, stars/,
    );
    expect(await failure('INVALID_ARGUMENT', classifier.predictEach(texts, []))).toMatch(
      /must be a list of the model's/,
    );
    expect(
      await failure('INVALID_ARGUMENT', classifier.predictEach([{ text: 'a', adapter: 'toxic' }], ['intent'])),
    ).toMatch(/text 0 names an adapter/);
    expect(await failure('INVALID_LORA', addTextAdapter(textModel, at('toxic')))).toMatch(/already has an adapter/);
    const words = await openTextModel(TINY, { task: 'token-classification', labelNames: ['O', 'B'] });
    expect(await failure('INVALID_ARGUMENT', addTextAdapter(words, at('toxic')))).toMatch(
      /labels texts, the other words/,
    );
    words.model.dispose();
    expect(adapterNames(textModel.model)).toEqual(Object.keys(TASKS));
    const other = { ...INTENT, numLabels: 4, labelNames: ['a', 'b', 'c', 'd'] };
    expect(
      errorMessage('INVALID_LORA', () =>
        addAdapter(
          textModel.model,
          { r: 2, targetModules: ['query'], modulesToSave: [] },
          { name: 'bare', head: other },
        ),
      ),
    ).toMatch(/without a head of its own/);
  });

  it('keep them when they are combined, saved and merged', async () => {
    const opened = await openTextModel(at('intent'));
    renameAdapter(opened.model, 'default', 'intent');
    await addTextAdapter(opened, at('toxic'));
    const parts = [
      { adapter: 'intent', weight: 0 },
      { adapter: 'toxic', weight: 1 },
    ];
    combineAdapters(opened.model, 'both', parts, { type: 'cat', headOf: 'toxic' });
    expect(opened.model.labelNames).toEqual(TOXIC.labelNames);
    expect(await classify(opened, texts, { adapters: ['both'] })).toEqual(
      (await alone('toxic')).map((one) => ({ both: { ...one, probabilities: expect.any(Object) } })),
    );
    using classifier = new Classifier(opened);
    await classifier.predictEach(texts, ['both']);
    deleteAdapter(opened.model, 'both');
    addAdapter(opened.model, { r: 2, targetModules: ['query'] }, 'both');
    expect(await failure('INVALID_ARGUMENT', classifier.predictEach(texts, ['both']))).toMatch(/another one than when/);
    deleteAdapter(opened.model, 'both');
    setActiveAdapters(opened.model, 'intent');
    expect(opened.model.labelNames).toEqual(INTENT.labelNames);

    setActiveAdapters(opened.model, 'toxic');
    mergeAndUnload(opened.model);
    expect(opened.model).toMatchObject({ ...TOXIC, headSettings: undefined });
    const extra = (folder: string) => writeRecord(folder, { ...opened, threshold: 0.3 });
    saveModel(opened.model, at('merged'), { extra });
    opened.model.dispose();
    const merged = await openTextModel(at('merged'), { tokenizer: TINY });
    expect(merged.model).toMatchObject(TOXIC);
    const [first] = await classify(merged, texts, { precision: 'fp32' });
    // In bf16 merged weights are rounded as a whole.
    const [wanted] = await alone('toxic', { precision: 'fp32' });
    expect(first!.labels).toEqual(wanted!.labels);
    for (const name of TOXIC.labelNames) {
      expect(first!.probabilities![name]).toBeCloseTo(wanted!.probabilities![name]!, 5);
    }
    merged.model.dispose();
  });

  it('are trained with a head of as many outputs, whose new values are a function of the seed', () => {
    const heads = [1, 1, 2].map((seed, i) => {
      const model = tinyRoberta();
      addAdapter(model, { r: 2, targetModules: ['query'] }, { name: `n${i}`, seed, head: INTENT });
      expect(model).toMatchObject(INTENT);
      return model
        .namedParameters()
        .filter(([name]) => name.includes('modules_to_save'))
        .map(([, parameter]) => ({ shape: parameter.shape, values: parameter.data() }));
    });
    expect(heads[0]!.map(({ shape }) => shape)).toEqual([[16, 16], [16], [3, 16], [3]]);
    expect(heads[0]).toEqual(heads[1]);
    expect(heads[0]![0]).not.toEqual(heads[2]![0]);
    expect(heads[0]![2]).not.toEqual(heads[2]![2]);
  });

  it('stand in mixed batches beside the base with its own head', async () => {
    const model = tinyRoberta();
    addAdapter(model, { r: 2, targetModules: ['query'] }, { name: 'intent', head: INTENT });
    fillAdapters(model, 0.1);
    const examples = encodedExamples(model, 4);
    using mixed = new MixedEvaluator(model, ['intent']);
    const logits = await mixed.run(examples, ['intent', undefined, 'intent', undefined], 64);
    expect(logits.map(({ length }) => length)).toEqual([3, 2, 3, 2]);
  });
});
