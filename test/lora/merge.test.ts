import { addAdapter, type LoraLinear, merge, mergeAndUnload, setActiveAdapters, unload, unmerge } from '../../src/lora';
import { errorMessage } from '../io/temporary';
import { difference, fillAdapters, logits, tinyBert, tinyRoberta, trainedNames, valuesOf } from './models';

describe.each([
  ['RoBERTa', tinyRoberta],
  ['BERT', tinyBert],
])('%s', (_, make) => {
  it('freshly wrapped computes what its base does, bit for bit', async () => {
    for (const backend of ['cpu', 'reference'] as const) {
      const before = await logits(make(), backend);
      const model = make();
      addAdapter(model, { r: 3, targetModules: 'all-linear' });
      expect(await logits(model, backend)).toEqual(before);
      fillAdapters(model);
      expect(await logits(model, backend)).not.toEqual(before);
    }
  });

  it('merged computes what it did unmerged, and unmerging restores every bit', async () => {
    const model = make();
    addAdapter(model, { r: 3, loraAlpha: 6, targetModules: 'all-linear' });
    fillAdapters(model, 0.5);
    const start = valuesOf(model);
    const unmerged = await logits(model);
    merge(model);
    expect(valuesOf(model)).not.toEqual(start);
    const merged = await logits(model);
    expect(difference(merged, unmerged)).toBeLessThan(1e-6);
    expect(difference(merged, await logits(make()))).toBeGreaterThan(1e-3);
    unmerge(model);
    expect(valuesOf(model)).toEqual(start);
    expect(await logits(model)).toEqual(unmerged);
  });

  it('merged and unloaded is a plain model of the same output', async () => {
    const model = make();
    addAdapter(model, { r: 3, targetModules: 'all-linear' });
    fillAdapters(model, 0.5);
    const [head] = trainedNames(model).filter((name) => name.endsWith('.bias'));
    model
      .namedParameters()
      .find(([name]) => name === head)![1]
      .setData(new Float32Array(head!.includes('dense') ? 16 : 2).fill(0.5));
    const adapted = await logits(model);
    mergeAndUnload(model);
    expect(String(model)).toBe(String(make()));
    expect(difference(await logits(model), adapted)).toBeLessThan(1e-6);
  });

  it('unloaded is its base again', async () => {
    const model = make();
    addAdapter(model, { r: 3, targetModules: 'all-linear' });
    fillAdapters(model);
    merge(model);
    unload(model);
    expect(valuesOf(model)).toEqual(valuesOf(make()));
    expect(await logits(model)).toEqual(await logits(make()));
  });
});

describe('merging', () => {
  it('adds s B A in float64 and rounds once', () => {
    const model = tinyRoberta();
    addAdapter(model, { r: 2, loraAlpha: 3, targetModules: ['1.attention.self.query'] });
    fillAdapters(model, 0.7);
    const module = model.getSubmodule('roberta.encoder.layer.1.attention.self.query') as LoraLinear;
    const { A, B } = module.adapter('default');
    const [a, b, w] = [A.data(), B.data(), Float32Array.from(module.base_layer.weight.data())];
    const expected = w.map((value, i) => {
      const [n, k] = [Math.floor(i / 16), i % 16];
      return value + 1.5 * b[2 * n]! * a[k]! + 1.5 * b[2 * n + 1]! * a[16 + k]!;
    });
    merge(model);
    expect(module.base_layer.weight.data()).toEqual(expected);
  });

  it('sums several adapters, as the unmerged model does', async () => {
    const model = tinyRoberta();
    addAdapter(model, { r: 2, targetModules: ['query', 'key'] }, 'first');
    addAdapter(model, { r: 3, targetModules: ['query', 'value'], modulesToSave: [] }, 'second');
    fillAdapters(model, 0.3);
    setActiveAdapters(model, ['first', 'second']);
    const unmerged = await logits(model);
    merge(model, ['first']);
    merge(model, ['second']);
    const stepwise = await logits(model);
    expect(difference(stepwise, unmerged)).toBeLessThan(1e-6);
    unmerge(model);
    merge(model);
    expect(await logits(model)).toEqual(stepwise);
  });

  it('of a NaN is an error that names the module, and changes nothing', () => {
    const model = tinyRoberta();
    addAdapter(model, { r: 2 });
    const [, parameter] = model
      .namedParameters()
      .find(([name]) => name.includes('layer.1.attention.self.value.lora_B'))!;
    parameter.setData(new Float32Array(32).fill(Number.NaN));
    const before = valuesOf(model);
    const message = errorMessage('INVALID_ARGUMENT', () => merge(model));
    expect(message).toContain('adapter "default" of "roberta.encoder.layer.1.attention.self.value" holds NaN');
    expect(valuesOf(model)).toEqual(before);
  });

  it('beyond float32 is an error, and what was merged before stays merged', () => {
    const model = tinyRoberta();
    addAdapter(model, { r: 2, targetModules: ['query'] }, 'small');
    addAdapter(model, { r: 2, targetModules: ['query', 'key'] }, 'huge');
    fillAdapters(model, 0.5);
    const [, parameter] = model.namedParameters().find(([name]) => name.includes('1.attention.self.key.lora_B'))!;
    parameter.setData(new Float32Array(32).fill(3e38));
    merge(model, ['small']);
    const before = valuesOf(model);
    const message = errorMessage('INVALID_ARGUMENT', () => merge(model, ['huge']));
    expect(message).toContain('"roberta.encoder.layer.1.attention.self.key" would hold NaN or infinite values');
    expect(valuesOf(model)).toEqual(before);
    unmerge(model);
    expect(errorMessage('INVALID_ARGUMENT', () => mergeAndUnload(model, ['huge']))).toContain('infinite');
  });

  it('must be undone before adapters are added or deleted', () => {
    const model = tinyRoberta();
    addAdapter(model, { r: 2 });
    merge(model);
    expect(errorMessage('INVALID_LORA', () => addAdapter(model, {}, 'other'))).toContain('Call unmerge(model) first');
  });
});

describe('dropout', () => {
  it('of adapters changes the output of a training graph, by seed', async () => {
    const model = tinyRoberta().eval();
    addAdapter(model, { r: 2, loraDropout: 0.5 });
    fillAdapters(model);
    expect(await logits(model, 'cpu', true)).toEqual(await logits(model, 'cpu'));
    model.train();
    expect(await logits(model, 'cpu', true)).not.toEqual(await logits(model, 'cpu'));
  });
});
