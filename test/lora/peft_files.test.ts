import * as fs from 'node:fs';
import * as path from 'node:path';
import { type JsonObject, readJsonObject } from '../../src/io/json';
import { SafetensorsFile, type TensorData, writeSafetensors } from '../../src/io/safetensors';
import {
  activeAdapters,
  addAdapter,
  type LoraConfig,
  LoraLinear,
  loadAdapter,
  loadLoralibAdapter,
  peftNameOf,
  saveAdapter,
} from '../../src/lora';
import { loadModel, type Task, type TaskModel } from '../../src/models';
import { errorMessage, sharedData, temporaryFolder } from '../io/temporary';
import { fillAdapters, robertaBase, tinyBert, tinyRoberta, trainedNames, valuesOf } from './models';

const ORACLE = path.join(__dirname, '..', 'fixtures', 'oracle');
const WEIGHTS = 'adapter_model.safetensors';
const CONFIG = 'adapter_config.json';

const configIn = (dir: string) => readJsonObject(path.join(dir, CONFIG), '', 'INTERNAL');
const keysIn = (dir: string) => [...SafetensorsFile.open(path.join(dir, WEIGHTS)).tensors.keys()];
const newFolder = () => path.join(temporaryFolder(), 'adapter');

/** An adapter with values, saved. */
function savedAdapter(config: LoraConfig, model = tinyRoberta()): string {
  addAdapter(model, config, { seed: 4 });
  fillAdapters(model);
  return saveAdapter(model, newFolder());
}

describe('names', () => {
  it.each([
    ['a.query.lora_A.default.weight', 'base_model.model.a.query.lora_A.weight'],
    ['a.query.lora_B.other.weight', 'base_model.model.a.query.lora_B.weight'],
    ['classifier.modules_to_save.default.dense.bias', 'base_model.model.classifier.dense.bias'],
    ['a.query.base_layer.bias', 'base_model.model.a.query.base_layer.bias'],
    ['a.LayerNorm.bias', 'base_model.model.a.LayerNorm.bias'],
  ])('%s is %s in files', (ours, peft) => {
    expect(peftNameOf(ours)).toBe(peft);
  });

  it('of a saved adapter are those that PEFT writes', () => {
    const at = 'base_model.model.roberta.encoder.layer';
    expect(keysIn(savedAdapter({ r: 2, targetModules: ['key'] }))).toEqual([
      'base_model.model.classifier.dense.bias',
      'base_model.model.classifier.dense.weight',
      'base_model.model.classifier.out_proj.bias',
      'base_model.model.classifier.out_proj.weight',
      `${at}.0.attention.self.key.lora_A.weight`,
      `${at}.0.attention.self.key.lora_B.weight`,
      `${at}.1.attention.self.key.lora_A.weight`,
      `${at}.1.attention.self.key.lora_B.weight`,
    ]);
  });
});

interface StoredCase {
  name: string;
  model: string;
  adapter: string | null;
  task: Task;
}

const cases = (JSON.parse(fs.readFileSync(path.join(ORACLE, 'cases.json'), 'utf8')) as { cases: StoredCase[] }).cases;

describe("PEFT's own folders", () => {
  it.each(cases.filter(({ adapter }) => adapter).map((stored) => [stored.name, stored] as const))(
    '%s is read, and written as it was',
    (name, { adapter, task, model: dir }) => {
      const source = path.join(ORACLE, adapter as string);
      const { model } = loadModel(path.join(ORACLE, dir), { task });
      loadAdapter(model, source, { trainable: true });
      const target = saveAdapter(model, newFolder());
      const written = configIn(target);
      expect(written).toEqual(configIn(source));
      expect(Object.keys(written)).toEqual(Object.keys(configIn(source)));
      const bytes = (folder: string) => fs.readFileSync(path.join(folder, WEIGHTS));
      if (name.endsWith('bias-all')) {
        // PEFT also writes the head's biases under the names of its wrapper.
        const plain = keysIn(source).filter((key) => !/original_module|modules_to_save/.test(key));
        expect(keysIn(target)).toEqual(plain);
      } else expect(bytes(target).equals(bytes(source))).toBe(true);
    },
  );
});

describe('an adapter that was saved', () => {
  it.each<[string, LoraConfig]>([
    ['the default', {}],
    ['all-linear with dropout', { r: 3, loraAlpha: 5, targetModules: 'all-linear', loraDropout: 0.1 }],
    ['a pattern with ranks', { pattern: 'query(4)|layer.\\d+.output(2)', r: 3 }],
    ['a pattern with alpha', { pattern: 'att_qv+ff_u', r: 3, loraAlpha: 6 }],
    [
      'rank and alpha patterns',
      { rankPattern: { key: 2 }, alphaPattern: { query: 4 }, targetModules: ['key', 'query'] },
    ],
    ['rank-stabilised', { useRslora: true, r: 4, targetModules: '.*key' }],
    ['layers', { targetModules: ['key'], layersToTransform: [1], layersPattern: 'layer', excludeModules: ['query'] }],
    ['biases', { targetModules: ['key'], bias: 'lora_only' }],
    ['all biases', { targetModules: ['key'], bias: 'all' }],
    ['the head alone', { pattern: 'clf_only' }],
    ['no head', { modulesToSave: [] }],
  ])('comes back: %s', (_, config) => {
    const [a, b] = [tinyRoberta(), tinyRoberta()];
    addAdapter(a, config, { seed: 4 });
    fillAdapters(a);
    for (const [name, p] of a.namedParameters()) if (name.endsWith('bias')) p.setData(p.data().map((v, i) => v + i));
    const dir = saveAdapter(a, newFolder());
    loadAdapter(b, dir, { trainable: true });
    expect(trainedNames(b)).toEqual(trainedNames(a));
    const [va, vb] = [valuesOf(a), valuesOf(b)];
    for (const name of trainedNames(a)) expect(vb.get(name)).toEqual(va.get(name));
    for (const [name, module] of a.namedModules()) {
      if (!(module instanceof LoraLinear)) continue;
      const { rank, scaling, dropout } = module.adapters.get('default')!;
      const other = (b.getSubmodule(name) as LoraLinear).adapters.get('default')!;
      expect([other.rank, other.dropout]).toEqual([rank, dropout]);
      expect(other.scaling).toBeCloseTo(scaling, 12);
    }
    // Saved once more it is the same file.
    expect(configIn(saveAdapter(b, newFolder()))).toEqual(configIn(dir));
  });

  it('is frozen and active when it is loaded, unless it is to be trained', () => {
    const dir = savedAdapter({});
    const model = tinyRoberta();
    loadAdapter(model, dir, 'sentiment');
    expect(activeAdapters(model)).toEqual(['sentiment']);
    expect(trainedNames(model)).toEqual([]);
  });

  it('lies in a folder of its name unless that is default, as in PEFT', () => {
    const model = tinyRoberta();
    addAdapter(model, {}, 'first');
    addAdapter(model, {}, 'second');
    const dir = newFolder();
    expect(saveAdapter(model, dir, 'first')).toBe(path.join(dir, 'first'));
    saveAdapter(model, dir, 'second');
    expect(fs.readdirSync(dir).sort()).toEqual(['first', 'second']);
    const other = tinyRoberta();
    loadAdapter(other, dir, 'first');
    loadAdapter(other, path.join(dir, 'second'), 'renamed');
    expect(activeAdapters(other)).toEqual(['renamed']);
    expect(keysIn(path.join(dir, 'first'))).toEqual(keysIn(path.join(dir, 'second')));
  });

  it('says what PEFT needs to load it', () => {
    const model = tinyRoberta();
    addAdapter(model, { r: 4, pattern: 'query|output.dense(2)' });
    const dir = saveAdapter(model, newFolder(), { baseModel: 'roberta-base' });
    const at = (layer: number, name: string) => `roberta.encoder.layer.${layer}.${name}`;
    const outputs = [0, 1].flatMap((layer) => [at(layer, 'attention.output.dense'), at(layer, 'output.dense')]);
    expect(configIn(dir)).toMatchObject({
      peft_type: 'LORA',
      task_type: 'SEQ_CLS',
      base_model_name_or_path: 'roberta-base',
      r: 4,
      lora_alpha: 4,
      target_modules: [...outputs, at(0, 'attention.self.query'), at(1, 'attention.self.query')].sort(),
      rank_pattern: Object.fromEntries(outputs.map((name) => [name, 2])),
      alpha_pattern: Object.fromEntries(outputs.map((name) => [name, 2])),
      modules_to_save: ['classifier'],
      inference_mode: true,
    });
    const head = tinyRoberta();
    addAdapter(head, { pattern: 'clf_only' });
    expect(configIn(saveAdapter(head, newFolder()))).toMatchObject({ target_modules: 'dummy-target-modules' });
  });

  it('is written with more files where asked, whole or not at all', () => {
    const model = tinyRoberta();
    addAdapter(model, {});
    const dir = newFolder();
    const fail = () =>
      saveAdapter(model, dir, {
        extra: () => {
          throw new Error('no tokenizer');
        },
      });
    expect(fail).toThrow('no tokenizer');
    expect(fs.existsSync(dir)).toBe(false);
    saveAdapter(model, dir, { extra: (folder) => fs.writeFileSync(path.join(folder, 'tokenizer.json'), '{}') });
    expect(fs.readdirSync(dir).sort()).toEqual([CONFIG, WEIGHTS, 'tokenizer.json'].sort());
  });
});

describe('older and other forms of the file', () => {
  it("names of PEFT's wrapper are understood", () => {
    const dir = savedAdapter({ targetModules: ['key'] });
    const file = SafetensorsFile.open(path.join(dir, WEIGHTS));
    const tensors: [string, TensorData][] = [...file.tensors].map(([key, info]) => [
      key.replace('.classifier.', '.classifier.modules_to_save.'),
      { dtype: 'F16', shape: info.shape, data: file.readFloat32(key) },
    ]);
    tensors.push([
      'base_model.model.classifier.original_module.dense.bias',
      { dtype: 'F32', shape: [1], data: Float32Array.of(9) },
    ]);
    writeSafetensors(path.join(dir, WEIGHTS), tensors);
    fs.writeFileSync(
      path.join(dir, CONFIG),
      JSON.stringify({
        peft_type: 'LORA',
        target_modules: ['key'],
        r: 8,
        lora_alpha: 8,
        modules_to_save: ['classifier'],
        field_of_tomorrow: [],
      }),
    );
    const model = tinyRoberta();
    expect(loadAdapter(model, dir)).toHaveLength(2);
    expect(configIn(saveAdapter(model, newFolder()))).toMatchObject({ field_of_tomorrow: [] });
  });
});

describe('bad folders', () => {
  /** A saved adapter, spoilt. */
  function spoilt(spoil: (dir: string) => void): string {
    const dir = savedAdapter({ r: 2, targetModules: ['key'] });
    spoil(dir);
    return dir;
  }
  const withConfig = (fields: JsonObject) =>
    spoilt((dir) => fs.writeFileSync(path.join(dir, CONFIG), JSON.stringify({ ...configIn(dir), ...fields })));
  const withTensors = (change: (tensors: [string, TensorData][]) => [string, TensorData][]) =>
    spoilt((dir) => {
      const file = SafetensorsFile.open(path.join(dir, WEIGHTS));
      const tensors = [...file.tensors].map(([key, info]): [string, TensorData] => [
        key,
        { dtype: 'F32', shape: info.shape, data: file.readFloat32(key) },
      ]);
      writeSafetensors(path.join(dir, WEIGHTS), change(tensors));
    });
  const extra: [string, TensorData] = [
    'base_model.model.pooler.weight',
    { dtype: 'F32', shape: [1], data: Float32Array.of(1) },
  ];

  it.each<
    [
      string,
      'FILE_NOT_FOUND' | 'INVALID_CONFIG' | 'INVALID_CHECKPOINT' | 'STATE_MISMATCH' | 'INVALID_LORA',
      string,
      () => string,
    ]
  >([
    ['no folder', 'FILE_NOT_FOUND', 'has no adapter_config.json', () => path.join(temporaryFolder(), 'none')],
    [
      'no weights',
      'FILE_NOT_FOUND',
      'has no adapter_model.safetensors',
      () => spoilt((dir) => fs.rmSync(path.join(dir, WEIGHTS))),
    ],
    [
      'a pickle',
      'FILE_NOT_FOUND',
      'adapter_model.bin is a pickle',
      () => spoilt((dir) => fs.renameSync(path.join(dir, WEIGHTS), path.join(dir, 'adapter_model.bin'))),
    ],
    [
      'config of no JSON',
      'INVALID_CONFIG',
      'adapter_config.json',
      () => spoilt((dir) => fs.writeFileSync(path.join(dir, CONFIG), '{')),
    ],
    [
      'another method',
      'INVALID_CONFIG',
      'field "peft_type" is "IA3"; expected "LORA"',
      () => withConfig({ peft_type: 'IA3' }),
    ],
    [
      'DoRA',
      'INVALID_CONFIG',
      'field "use_dora" is true; expected false: DoRA is not supported',
      () => withConfig({ use_dora: true }),
    ],
    [
      'PiSSA',
      'INVALID_CONFIG',
      'field "init_lora_weights" is "pissa"',
      () => withConfig({ init_lora_weights: 'pissa' }),
    ],
    ['rank 0', 'INVALID_CONFIG', 'field "r" is 0; expected an integer of at least 1', () => withConfig({ r: 0 })],
    ['text for alpha', 'INVALID_CONFIG', 'field "lora_alpha" is "8"', () => withConfig({ lora_alpha: '8' })],
    ['targets not there', 'INVALID_LORA', 'matches no module', () => withConfig({ target_modules: ['q_proj'] })],
    [
      'truncated weights',
      'INVALID_CHECKPOINT',
      WEIGHTS,
      () => spoilt((dir) => fs.truncateSync(path.join(dir, WEIGHTS), 900)),
    ],
    ['another rank', 'STATE_MISMATCH', 'lora_A.weight: [2, 16], expected [3, 16]', () => withConfig({ r: 3 })],
    ['more targets', 'STATE_MISMATCH', 'missing (4):', () => withConfig({ target_modules: ['key', 'query'] })],
    [
      'a missing tensor',
      'STATE_MISMATCH',
      'missing (1):\n    base_model.model.classifier.dense.bias',
      () => withTensors((t) => t.slice(1)),
    ],
    [
      'a tensor too many',
      'STATE_MISMATCH',
      'unexpected (1):\n    base_model.model.pooler.weight',
      () => withTensors((t) => [...t, extra]),
    ],
  ])('%s: an error, and the model stays as it was', (_, code, text, make) => {
    const dir = make();
    const model = tinyRoberta();
    const before = [String(model), trainedNames(model), valuesOf(model)];
    expect(errorMessage(code, () => loadAdapter(model, dir))).toContain(text);
    expect([String(model), trainedNames(model), valuesOf(model)]).toEqual(before);
  });

  it('an adapter for other labels or another model does not fit', () => {
    const dir = savedAdapter({ r: 2, targetModules: ['key'] });
    expect(errorMessage('STATE_MISMATCH', () => loadAdapter(tinyRoberta('sequence-classification', 3), dir))).toContain(
      'base_model.model.classifier.out_proj.weight: [2, 16], expected [3, 16]',
    );
    expect(errorMessage('STATE_MISMATCH', () => loadAdapter(tinyBert(), dir))).toContain(
      'base_model.model.bert.encoder',
    );
  });

  it('a folder that can not be written is an error, and what was there stays', () => {
    const file = path.join(temporaryFolder(), 'file');
    fs.writeFileSync(file, 'mine');
    const model = tinyRoberta();
    addAdapter(model, {});
    expect(errorMessage('FILE_NOT_WRITABLE', () => saveAdapter(model, path.join(file, 'below')))).toContain(file);
    expect(fs.readFileSync(file, 'utf8')).toBe('mine');
  });
});

describe('really trained adapters', () => {
  const scalings = (model: TaskModel) => [
    ...new Set(
      model
        .namedModules()
        .flatMap(([, m]) => (m instanceof LoraLinear ? [...m.adapters.values()].map((a) => a.scaling) : [])),
    ),
  ];

  it.each([
    ['lora-ner-roberta-base-r4', 4, 4],
    ['lora-ner-roberta-base-r8', 8, 8],
  ])('%s loads with its scaling and is written byte for byte', (name, rank, scaling) => {
    const dir = sharedData('pretrained', name);
    const model = robertaBase('token-classification', 29);
    if (!dir || !model) return;
    expect(loadAdapter(model, dir)).toHaveLength(24);
    expect(scalings(model)).toEqual([scaling]);
    const module = model.getSubmodule('roberta.encoder.layer.11.attention.self.value') as LoraLinear;
    const { A, B } = module.adapter('default');
    expect([A.shape, B.shape]).toEqual([
      [rank, 768],
      [768, rank],
    ]);
    expect(B.data().some((v) => v !== 0)).toBe(true);
    const target = saveAdapter(model, newFolder());
    expect(fs.readFileSync(path.join(target, WEIGHTS)).equals(fs.readFileSync(path.join(dir, WEIGHTS)))).toBe(true);
    expect(fs.readFileSync(path.join(target, CONFIG), 'utf8').trim()).toBe(
      fs.readFileSync(path.join(dir, CONFIG), 'utf8').trim(),
    );
  });

  it("loralib's MNLI adapter loads with alpha 16, and becomes a PEFT folder", () => {
    const file = sharedData('pretrained', 'lora-mnli-roberta-base', 'lora_mnli.safetensors');
    const model = robertaBase('sequence-classification', 3);
    if (!file || !model) return;
    expect(loadLoralibAdapter(model, file, { alpha: 16 })).toHaveLength(24);
    expect(scalings(model)).toEqual([2]);
    const source = SafetensorsFile.open(file);
    const name = 'roberta.encoder.layer.3.attention.self.query';
    const { A, B } = (model.getSubmodule(name) as LoraLinear).adapter('default');
    expect(A.data()).toEqual(source.readFloat32(`${name}.lora_A`));
    expect(B.data()).toEqual(source.readFloat32(`${name}.lora_B`));
    const head = model.namedParameters().find(([path]) => path.endsWith('out_proj.weight'))![1];
    expect(head.data()).toEqual(source.readFloat32('classifier.out_proj.weight'));
    const dir = saveAdapter(model, newFolder());
    expect(keysIn(dir)).toHaveLength(52);
    const again = robertaBase('sequence-classification', 3)!;
    expect(loadAdapter(again, dir)).toHaveLength(24);
    expect(scalings(again)).toEqual([2]);
    expect(
      errorMessage('INVALID_LORA', () => loadLoralibAdapter(again, path.join(dir, WEIGHTS), { alpha: 16 })),
    ).toContain('lora_A');
  });
});
