/**
 * Texts of several adapters in one batch: each has the bits of its adapter alone, whatever comes
 * beside it, for both families, heads of one row a text and of one row a token.
 */
import type { Example } from '../../src/data/examples/example';
import { addAdapter, setActiveAdapters } from '../../src/lora';
import { loraLinears } from '../../src/lora/registry';
import { AdapterSlotTable } from '../../src/lora/slots';
import type { TaskModel } from '../../src/models';
import { Classifier, classify } from '../../src/task/classify';
import { MixedEvaluator } from '../../src/task/mixed_evaluator';
import { ModelEvaluator } from '../../src/task/model_evaluator';
import { openTextModel, type TextModel } from '../../src/task/text_model';
import { tinyRoberta } from '../lora/models';
import { encodedExamples, fillAll, MODELS } from './several_adapters';
import { TINY, taggedSentences } from './tasks';

jest.setTimeout(120_000);

const ADAPTERS = { intent: 4, toxic: 8, pii: 2 };
const NAMES = Object.keys(ADAPTERS);

/** Adapters of other ranks, targets and heads on one model, all with values that matter. */
function withAdapters(model: TaskModel): TaskModel {
  const targets = [['query', 'value'], 'all-linear', ['key', 'output.dense']];
  for (const [i, [name, r]] of Object.entries(ADAPTERS).entries()) {
    addAdapter(model, { r, targetModules: targets[i] as string, loraAlpha: 2 * r }, { name, seed: i });
  }
  fillAll(model);
  return model;
}

describe('a batch of several adapters', () => {
  test.each(MODELS)('%s: logits are those of each adapter alone, bit for bit', async (_name, make) => {
    const model = withAdapters(make());
    const examples = encodedExamples(model, 23);
    const adapterOf = examples.map((_, i) => (i % 5 === 4 ? undefined : NAMES[i % 3]));
    using mixed = new MixedEvaluator(model, NAMES);
    const logits = await mixed.run(examples, adapterOf, 64);
    for (const name of [undefined, ...NAMES]) {
      setActiveAdapters(model, name === undefined ? [] : name);
      using alone = new ModelEvaluator(model, { loss: false });
      const wanted = (await alone.run(examples, { tokenBudget: 100 })).logits;
      examples.forEach((_, i) => {
        if (adapterOf[i] === name) expect(logits[i]).toEqual(wanted[i]);
        else expect(logits[i]).not.toEqual(wanted[i]);
      });
    }
  });

  it('does not change which adapter is active', async () => {
    const model = withAdapters(tinyRoberta());
    setActiveAdapters(model, 'toxic');
    using mixed = new MixedEvaluator(model, NAMES);
    await mixed.run(encodedExamples(model, 3), ['intent', undefined, 'pii'], 64);
    for (const [, layer] of loraLinears(model))
      expect(layer.active).toEqual(layer.adapters.has('toxic') ? ['toxic'] : []);
  });
});

describe('a Classifier with an adapter a text', () => {
  let textModel: TextModel;
  beforeAll(async () => {
    textModel = await openTextModel(TINY, { task: 'sequence-classification', labelNames: ['no', 'yes'] });
    withAdapters(textModel.model);
  });

  const texts = taggedSentences(12, 3).map(({ tokens }) => tokens.join(' '));

  it('answers as each adapter alone does', async () => {
    const examples: Example[] = texts.map((text, i) => ({ text, adapter: NAMES[i % 3] as string }));
    const mixed = await classify(textModel, examples);
    for (const [g, name] of NAMES.entries()) {
      setActiveAdapters(textModel.model, name);
      const own = texts.filter((_, i) => i % 3 === g);
      expect(mixed.filter((_, i) => i % 3 === g)).toEqual(await classify(textModel, own));
    }
  });

  it('takes the active adapter for texts that name none', async () => {
    setActiveAdapters(textModel.model, 'pii');
    using classifier = new Classifier(textModel);
    const [text, other] = texts as [string, string];
    const [first, second] = await classifier.predict([{ text, adapter: 'intent' }, other]);
    expect(second).toEqual((await classifier.predict([other]))[0]);
    expect(first).not.toEqual((await classifier.predict([text]))[0]);
  });

  it('names an adapter that is not there', async () => {
    using classifier = new Classifier(textModel);
    await expect(classifier.predict([{ text: 'a film', adapter: 'intend' }])).rejects.toThrow(
      /no adapter "intend" here; there are: intent, toxic, pii/,
    );
  });
});

it('a model without adapters has its base to name, and says that there are no others', async () => {
  const model = tinyRoberta();
  const examples = encodedExamples(model, 3);
  using mixed = new MixedEvaluator(model, []);
  using alone = new ModelEvaluator(model, { loss: false });
  const expected = (await alone.run(examples, { batchSize: 3 })).logits;
  expect(await mixed.run(examples, [undefined, undefined, undefined], 64)).toEqual(expected);
  await expect(mixed.run(examples, ['spam', undefined, undefined], 64)).rejects.toThrow(/"spam" here; there are: none/);
});

describe('slots', () => {
  it('take other adapters while the program stays, a hundred times, with the same bits', async () => {
    const model = withAdapters(tinyRoberta());
    const examples = encodedExamples(model, 9);
    const adapterOf = examples.map((_, i) => NAMES[i % 3]);
    using mixed = new MixedEvaluator(model, NAMES);
    const before = await mixed.run(examples, adapterOf, 64);
    const { table } = mixed;
    for (let i = 0; i < 100; i++) for (const slot of [0, 1, 2]) table.put(slot, NAMES[(slot + i) % 3]);
    expect(table.names).toEqual(NAMES.map((_, slot) => NAMES[(slot + 99) % 3]));
    table.put(0, 'toxic');
    table.put(1, 'intent');
    table.put(2, 'pii');
    expect(NAMES.map((name) => table.slotOf(name))).toEqual([1, 0, 2]);
    expect(await mixed.run(examples, adapterOf, 64)).toEqual(before);
    table.put(1, undefined);
    expect(table.slotOf('intent')).toBeUndefined();
    expect(() => table.put(3, 'pii')).toThrow(/no slot 3; slots are 0 to 2/);
    await expect(mixed.run(examples, adapterOf, 64)).rejects.toThrow(/no adapter "intent" here/);
  });

  it('refuse a rank that does not fit, and adapters that train biases', () => {
    const model = withAdapters(tinyRoberta());
    const table = new AdapterSlotTable(model, ['intent']);
    expect(() => table.put(0, 'toxic')).toThrow(/has rank 8 at .* made for [1-7]\./);
    const other = tinyRoberta();
    addAdapter(other, { r: 2, targetModules: ['query'], bias: 'all' }, { name: 'biased' });
    expect(() => new AdapterSlotTable(other, ['biased'])).toThrow(/trains biases/);
  });
});
