/**
 * Several adapters on one model: chosen, scaled, renamed, left out for a while, shown; and that all
 * of it is exact.
 */
import * as path from 'node:path';
import {
  activeAdapters,
  adapterNames,
  adapterStatus,
  addAdapter,
  deleteAdapter,
  disableAdapters,
  enableAdapters,
  formatAdapterStatus,
  type LoraLinear,
  loadAdapter,
  type ModulesToSave,
  merge,
  mergeAndUnload,
  renameAdapter,
  saveAdapter,
  setActiveAdapters,
  setScale,
  setTrainable,
  unmerge,
  withoutAdapters,
} from '../../src/lora';
import type { TaskModel } from '../../src/models';
import { errorMessage, temporaryFolder } from '../io/temporary';
import { fillAdapters, logits, tinyRoberta, trainedNames, valuesOf } from './models';

const QUERY = 'roberta.encoder.layer.0.attention.self.query';

/** An adapter without a head, one with a head, and a second with a head. */
function make(): TaskModel {
  const model = tinyRoberta();
  addAdapter(model, { r: 2, targetModules: ['query'], modulesToSave: [] }, 'plain');
  addAdapter(model, { r: 3, loraAlpha: 6, targetModules: ['query', 'key'] }, 'intent');
  addAdapter(model, { r: 2, useRslora: true, targetModules: ['value'] }, { name: 'toxic', seed: 5, trainable: false });
  fillAdapters(model, 0.5);
  for (const [name, parameter] of model.namedParameters()) {
    const head = /modules_to_save\.(\w+)\.out_proj\.bias/.exec(name)?.[1];
    if (head) parameter.setData(Float32Array.of(head === 'intent' ? 1 : -1, 2));
  }
  return model;
}

const heads = (model: TaskModel) => (model.getSubmodule('classifier') as ModulesToSave).active;
const linear = (model: TaskModel, at = QUERY) => model.getSubmodule(at) as LoraLinear;

describe('several heads on one base', () => {
  it('each adapter has its own; one without has the base model’s', async () => {
    const model = make();
    const alone: Float32Array[] = [];
    for (const name of ['intent', 'toxic', 'plain']) {
      setActiveAdapters(model, name);
      expect(heads(model)).toBe(name === 'plain' ? undefined : name);
      alone.push(await logits(model));
    }
    setActiveAdapters(model, ['plain', 'toxic']);
    expect(heads(model)).toBe('toxic');
    expect(new Set([...alone, await logits(model)].map(String)).size).toBe(4);
  });

  it('two of them can not be active at once, nor merged into one model', () => {
    const model = make();
    const message = errorMessage('INVALID_LORA', () => setActiveAdapters(model, ['intent', 'plain', 'toxic']));
    expect(message).toContain('"intent" and "toxic" both hold "classifier" whole');
    expect(activeAdapters(model)).toEqual(['toxic']);
    expect(errorMessage('INVALID_LORA', () => mergeAndUnload(model, ['intent', 'toxic']))).toContain('both hold');
    expect(adapterNames(model)).toHaveLength(3);
  });

  it('a merged model has the head of the adapter that was merged, active or not', async () => {
    const model = make();
    setActiveAdapters(model, 'intent');
    const want = await logits(model);
    setActiveAdapters(model, 'toxic');
    mergeAndUnload(model, ['intent']);
    const got = await logits(model);
    expect(Math.max(...got.map((value, i) => Math.abs(value - want[i]!)))).toBeLessThan(1e-6);
  });
});

describe('setScale', () => {
  it('multiplies the factor that the adapter has of its own', async () => {
    const model = make();
    setActiveAdapters(model, 'intent');
    const full = await logits(model);
    expect(setScale(model, 'intent', 0.25)).toHaveLength(4);
    expect(setScale(model, 'intent', 0.5)).toHaveLength(4);
    expect(linear(model).adapters.get('intent')?.scaling).toBe(1);
    expect(await logits(model)).not.toEqual(full);
    setScale(model, 'intent', 1);
    expect(await logits(model)).toEqual(full);
  });

  it('of some modules by name or pattern, with rsLoRA too', () => {
    const model = make();
    expect(setScale(model, 'intent', 2, { modules: ['key'] })).toHaveLength(2);
    expect(linear(model).adapters.get('intent')?.scaling).toBe(2);
    expect(setScale(model, 'intent', 0, { modules: '.*layer\\.0\\..*query' })).toEqual([QUERY]);
    expect(linear(model).adapters.get('intent')?.scaling).toBe(0);
    const [value] = setScale(model, 'toxic', 3);
    expect(linear(model, value).adapters.get('toxic')?.scaling).toBeCloseTo((3 * 8) / Math.SQRT2, 12);
  });

  it('is saved in alpha', async () => {
    const model = make();
    setActiveAdapters(model, 'intent');
    setScale(model, 'intent', 0.5, { modules: ['key'] });
    setScale(model, 'intent', 0, { modules: '.*layer.1.*query' });
    const want = await logits(model);
    const folder = saveAdapter(model, temporaryFolder(), 'intent');
    const again = tinyRoberta();
    loadAdapter(again, folder, 'intent');
    expect(await logits(again)).toEqual(want);
  });

  it('refuses what is no factor, other modules, and merged adapters', () => {
    const model = make();
    for (const scale of [-1, Number.NaN, Number.POSITIVE_INFINITY, '2' as unknown as number]) {
      expect(errorMessage('INVALID_ARGUMENT', () => setScale(model, 'intent', scale))).toContain(
        `scale is ${String(scale)}; it must be a number from 0`,
      );
    }
    expect(errorMessage('INVALID_LORA', () => setScale(model, 'plain', 2, { modules: ['key'] }))).toContain(
      'modules ["key"] matches none of the modules of adapter "plain", such as',
    );
    merge(model);
    expect(errorMessage('INVALID_LORA', () => setScale(model, 'toxic', 2))).toContain('Call unmerge(model) first');
  });
});

describe('renameAdapter', () => {
  it('keeps values, place, head, what is active and what is merged', async () => {
    const model = make();
    setActiveAdapters(model, ['plain', 'intent']);
    const want = await logits(model);
    renameAdapter(model, 'intent', 'purpose');
    expect(adapterNames(model)).toEqual(['plain', 'purpose', 'toxic']);
    expect(activeAdapters(model)).toEqual(['plain', 'purpose']);
    expect(heads(model)).toBe('purpose');
    expect(model.namedParameters().some(([name]) => name.includes('.intent.'))).toBe(false);
    expect(model.namedParameters().filter(([name]) => name.includes('.purpose.'))).toHaveLength(8 + 4);
    expect(await logits(model)).toEqual(want);
    expect(path.basename(saveAdapter(model, temporaryFolder(), 'purpose'))).toBe('purpose');
    const start = linear(model).base_layer.weight.data();
    merge(model);
    renameAdapter(model, 'purpose', 'intent');
    expect(linear(model).merged).toEqual(['plain', 'intent']);
    unmerge(model);
    expect(linear(model).base_layer.weight.data()).toEqual(start);
    expect(await logits(model)).toEqual(want);
    deleteAdapter(model, 'intent');
    expect(adapterNames(model)).toEqual(['plain', 'toxic']);
  });

  it('refuses a name that is taken or can not be one', () => {
    const model = make();
    expect(errorMessage('INVALID_LORA', () => renameAdapter(model, 'intent', 'toxic'))).toContain('already has');
    expect(errorMessage('INVALID_LORA', () => renameAdapter(model, 'intent', 'a.b'))).toContain('can not name');
    expect(errorMessage('INVALID_ARGUMENT', () => renameAdapter(model, 'spam', 'a'))).toContain('has no adapter');
    renameAdapter(model, 'intent', 'intent');
    expect(adapterNames(model)).toEqual(['plain', 'intent', 'toxic']);
  });
});

describe('withoutAdapters', () => {
  const base = () => logits(tinyRoberta());

  it('is the base model inside, and as before after it', async () => {
    const model = make();
    const want = await logits(model);
    expect(await withoutAdapters(model, () => logits(model))).toEqual(await base());
    expect(await logits(model)).toEqual(want);
    expect(withoutAdapters(model, () => activeAdapters(model))).toEqual([]);
    expect(withoutAdapters(model, () => withoutAdapters(model, () => 7))).toBe(7);
    expect(activeAdapters(model)).toEqual(['toxic']);
  });

  it('puts back what was also where it fails, or adapters are merged or disabled', async () => {
    const model = make();
    merge(model);
    const merged = await logits(model);
    expect(await withoutAdapters(model, () => logits(model))).toEqual(await base());
    expect(await logits(model)).toEqual(merged);
    const fail = () => {
      throw new Error('inside');
    };
    expect(() => withoutAdapters(model, fail)).toThrow('inside');
    await expect(withoutAdapters(model, async () => fail())).rejects.toThrow('inside');
    expect(await logits(model)).toEqual(merged);
    unmerge(model);
    disableAdapters(model);
    expect(await withoutAdapters(model, () => logits(model))).toEqual(await base());
    expect(adapterStatus(model).enabled).toBe(false);
    enableAdapters(model);
    expect(activeAdapters(model)).toEqual(['toxic']);
  });

  it('disabled, merged adapters are taken out; another one can not be chosen on top of them', async () => {
    const model = make();
    merge(model);
    expect(errorMessage('INVALID_LORA', () => setActiveAdapters(model, 'plain'))).toContain(
      'Call unmerge(model) first',
    );
    setActiveAdapters(model, 'toxic');
    disableAdapters(model);
    expect(await logits(model)).toEqual(await base());
  });
});

it('setTrainable takes several', () => {
  const model = make();
  setActiveAdapters(model, ['plain', 'toxic']);
  expect(trainedNames(model).every((name) => name.includes('.plain.'))).toBe(true);
  setTrainable(model, ['plain', 'intent'], false);
  expect(trainedNames(model)).toEqual([]);
  setTrainable(model, ['toxic'], true);
  expect(trainedNames(model)).toHaveLength(4 + 4);
  expect(errorMessage('INVALID_ARGUMENT', () => setTrainable(model, ['plain', 'spam'], true))).toContain('"spam"');
  expect(trainedNames(model)).toHaveLength(8);
});

describe('adapterStatus', () => {
  it('says which modules have which adapters, and what state they are in', () => {
    const model = make();
    setActiveAdapters(model, ['plain', 'intent']);
    setScale(model, 'intent', 0.5, { modules: ['key'] });
    const status = adapterStatus(model);
    expect(status).toMatchObject({ enabled: true, active: ['plain', 'intent'] });
    const [plain, intent, toxic] = status.adapters;
    expect(plain).toMatchObject({
      name: 'plain',
      active: true,
      merged: false,
      saved: [],
      parameters: 128,
      learnable: 128,
    });
    expect(intent?.modules).toHaveLength(4);
    expect(intent?.saved).toEqual([{ path: 'classifier', used: true, learnable: true, parameters: 306 }]);
    expect(toxic).toMatchObject({ active: false, trainable: false, learnable: 0 });
    expect(formatAdapterStatus(status)).toBe(
      [
        '3 adapters, active: plain + intent',
        'plain: active, trained while active; 128 parameters, thereof learnable: 128',
        '  roberta.encoder.layer.{0-1}.attention.self.query  r 2, factor 4, active, learnable',
        'intent: active, trained while active; 690 parameters, thereof learnable: 690',
        '  roberta.encoder.layer.{0-1}.attention.self.query  r 3, factor 2, active, learnable',
        '  roberta.encoder.layer.{0-1}.attention.self.key  r 3, factor 1 (scale 0.5), active, learnable',
        '  classifier  saved whole, in use, learnable',
        'toxic: idle, not trained; 434 parameters, thereof learnable: 0',
        '  roberta.encoder.layer.{0-1}.attention.self.value  r 2, factor 5.65685, idle, frozen',
        '  classifier  saved whole, idle, frozen',
      ].join('\n'),
    );
  });

  it('of merged and disabled ones, and of a model without any', () => {
    const model = make();
    merge(model);
    expect(adapterStatus(model).adapters.map(({ merged }) => merged)).toEqual([false, false, true]);
    linear(model, 'roberta.encoder.layer.1.attention.self.value').unmerge();
    expect(formatAdapterStatus(adapterStatus(model))).toContain('toxic: active, merged in part, not trained');
    disableAdapters(model);
    expect(formatAdapterStatus(adapterStatus(model)).split('\n')[0]).toBe('3 adapters, disabled');
    expect(formatAdapterStatus(adapterStatus(tinyRoberta()))).toBe('no adapters');
  });
});

it('swaps are exact: weights and logits keep every bit', async () => {
  const model = make();
  const weights = valuesOf(model);
  const want = new Map<string, Float32Array>();
  for (const name of ['intent', 'toxic']) {
    setActiveAdapters(model, name);
    want.set(name, await logits(model));
    merge(model);
    want.set(`${name} merged`, await logits(model));
    unmerge(model);
  }
  const swaps = Number(process.env['FUSED_LORA_SWAPS'] ?? 100);
  for (let i = 0; i < swaps; i++) {
    const name = i % 2 === 0 ? 'intent' : 'toxic';
    setActiveAdapters(model, name);
    merge(model);
    if (i % 500 < 2) expect(await logits(model)).toEqual(want.get(`${name} merged`));
    unmerge(model);
    if (i % 500 < 2) expect(await logits(model)).toEqual(want.get(name));
  }
  expect(valuesOf(model)).toEqual(weights);
}, 3_000_000);
