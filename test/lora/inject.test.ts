import {
  activeAdapters,
  adapterNames,
  addAdapter,
  deleteAdapter,
  disableAdapters,
  enableAdapters,
  formatParameterTable,
  formatTotals,
  LoraLinear,
  type ModulesToSave,
  parameterTable,
  setActiveAdapters,
  setTrainable,
  unload,
} from '../../src/lora';
import { createModel, type TaskModel } from '../../src/models';
import { trace } from '../../src/nn';
import { errorMessage } from '../io/temporary';
import { TINY_BERT } from '../models/configs';
import { robertaBase, tinyRoberta, trainedNames, valuesOf } from './models';

const linears = (model: TaskModel) => model.namedModules().filter(([, module]) => module instanceof LoraLinear);
const loraNodes = (model: TaskModel) => trace(model).nodes.filter(({ op }) => op === 'loraLinear');
const count = (model: TaskModel) => model.parameters().reduce((sum, { count }) => sum + count, 0);

describe("the article's counts on RoBERTa-base with 2 labels", () => {
  it('124,647,170 before; 124,978,946, thereof 923,906 (0.7392 %), with r = 4 on query and both output denses', () => {
    const model = robertaBase('sequence-classification');
    if (!model) return;
    expect(formatTotals(parameterTable(model))).toBe(
      'Total parameters: 124,647,170, thereof learnable: 124,647,170 (100.0000%)',
    );
    const adapted = addAdapter(model, { pattern: 'query|output.dense', r: 4 });
    expect(adapted).toHaveLength(36);
    const table = parameterTable(model);
    expect([table.total, table.learnable]).toEqual([124_978_946, 923_906]);
    const text = formatParameterTable(table).split('\n');
    expect(text.at(-1)).toBe('Total parameters: 124,978,946, thereof learnable: 923,906 (0.7392%)');
    const row = (name: string) => text.find((line) => line.startsWith(`${name} `))?.replace(/ +/g, ' ');
    expect(row('roberta.encoder.layer.11.output.dense.weight')).toBe(
      'roberta.encoder.layer.11.output.dense.weight 0 2359296',
    );
    expect(row('roberta.encoder.layer.11.output.dense.bias')).toBe('roberta.encoder.layer.11.output.dense.bias 0 768');
    expect(row('roberta.encoder.layer.11.output.dense.lora_A')).toBe(
      'roberta.encoder.layer.11.output.dense.lora_A 1 12288',
    );
    expect(row('roberta.encoder.layer.11.output.dense.lora_B')).toBe(
      'roberta.encoder.layer.11.output.dense.lora_B 1 3072',
    );
    expect(row('classifier.dense.weight')).toBe('classifier.dense.weight 1 589824');
    expect(row('roberta.embeddings.word_embeddings.weight')).toBe(
      'roberta.embeddings.word_embeddings.weight 0 38603520',
    );
    unload(model);
    expect(parameterTable(model)).toMatchObject({ total: 124_647_170, learnable: 0 });
  });

  it('592,130 (0.4750 %) with the classifier alone', () => {
    const model = robertaBase('sequence-classification');
    if (!model) return;
    addAdapter(model, { pattern: 'clf_only' });
    expect(formatTotals(parameterTable(model))).toBe(
      'Total parameters: 124,647,170, thereof learnable: 592,130 (0.4750%)',
    );
  });
});

it('MiniLM with r = 8 on all linears trains what PEFT says: 338,690', () => {
  // The configuration of all-MiniLM-L6-v2; PEFT counts the
  // frozen original of the head too, 770 more than this total.
  const config = { ...TINY_BERT, vocab_size: 30522, hidden_size: 384, num_hidden_layers: 6, num_attention_heads: 12 };
  const sizes = { intermediate_size: 1536, max_position_embeddings: 512 };
  const model = createModel({ ...config, ...sizes }, { task: 'sequence-classification' });
  expect(addAdapter(model, { r: 8, loraAlpha: 16, targetModules: 'all-linear' })).toHaveLength(6 * 6 + 1);
  expect(parameterTable(model)).toMatchObject({ total: 23_052_676 - 770, learnable: 338_690 });
});

describe('a wrapped model', () => {
  it('trains its adapters and its head, and nothing else', () => {
    const model = tinyRoberta();
    addAdapter(model, { r: 2, targetModules: ['key'] });
    const start = 'roberta.encoder.layer';
    expect(trainedNames(model)).toEqual([
      `${start}.0.attention.self.key.lora_A.default.weight`,
      `${start}.0.attention.self.key.lora_B.default.weight`,
      `${start}.1.attention.self.key.lora_A.default.weight`,
      `${start}.1.attention.self.key.lora_B.default.weight`,
      'classifier.modules_to_save.default.dense.weight',
      'classifier.modules_to_save.default.dense.bias',
      'classifier.modules_to_save.default.out_proj.weight',
      'classifier.modules_to_save.default.out_proj.bias',
    ]);
    const graph = trace(model);
    expect(graph.parameters.filter((p) => p.requiresGrad).map((p) => p.name)).toEqual(trainedNames(model));
  });

  it('trains biases where asked', () => {
    const only = tinyRoberta();
    addAdapter(only, { targetModules: ['key'], bias: 'lora_only', modulesToSave: [] });
    expect(trainedNames(only).filter((name) => name.endsWith('bias'))).toEqual([
      'roberta.encoder.layer.0.attention.self.key.base_layer.bias',
      'roberta.encoder.layer.1.attention.self.key.base_layer.bias',
    ]);
    const all = tinyRoberta();
    addAdapter(all, { targetModules: ['key'], bias: 'all' });
    const biases = all.namedParameters().filter(([name]) => name.endsWith('bias'));
    expect(biases.length).toBe(1 + 2 * 8 + 2);
    expect(biases.every(([, p]) => p.requiresGrad)).toBe(true);
    expect(errorMessage('INVALID_LORA', () => addAdapter(all, {}, 'second'))).toContain('several adapters');
  });

  it('has one fused op for each adapted module, with its scaling and dropout in training alone', () => {
    const model = tinyRoberta();
    addAdapter(model, { r: 2, loraAlpha: 6, loraDropout: 0.25, targetModules: ['key'] });
    const nodes = loraNodes(model);
    expect(nodes.map(({ path }) => path)).toEqual([0, 1].map((i) => `roberta.encoder.layer.${i}.attention.self.key`));
    expect(nodes[0]!.attributes).toMatchObject({ scaling: 3, dropout: 0.25 });
    const quiet = trace(model, { training: false }).nodes.filter(({ op }) => op === 'loraLinear');
    expect(quiet[0]!.attributes).toEqual({ scaling: 3 });
  });

  it("drops out an adapter on gathered rows by the tokens' numbers", () => {
    const model = tinyRoberta('masked-lm');
    addAdapter(model, { r: 2, loraDropout: 0.25, targetModules: ['lm_head.dense'] });
    const [node] = loraNodes(model);
    expect(node!.inputs.map((value) => value?.name)).toContain('rowIndex');
  });

  it('starts with A uniform or normal and B zero, or both at random', () => {
    const start = (initLoraWeights: boolean | 'gaussian', seed = 0) => {
      const model = tinyRoberta();
      addAdapter(model, { r: 4, targetModules: 'all-linear', initLoraWeights }, { seed });
      const module = linears(model)[0]![1] as LoraLinear;
      const { A, B } = module.adapter('default');
      return { A: A.data(), B: B.data() };
    };
    const usual = start(true);
    expect(usual.B.every((v) => v === 0)).toBe(true);
    expect(Math.max(...usual.A)).toBeLessThanOrEqual(0.25);
    expect(Math.max(...usual.A)).toBeGreaterThan(0.15);
    const normal = start('gaussian');
    expect(normal.B.every((v) => v === 0)).toBe(true);
    const std = Math.sqrt(normal.A.reduce((sum, v) => sum + v * v, 0) / normal.A.length);
    expect(std).toBeGreaterThan(0.18);
    expect(std).toBeLessThan(0.32);
    expect(start(false).B.some((v) => v !== 0)).toBe(true);
    expect(start(true)).toEqual(usual);
    expect(start(true, 1).A).not.toEqual(usual.A);
  });

  it('keeps the values of the base', () => {
    const before = valuesOf(tinyRoberta());
    const model = tinyRoberta();
    addAdapter(model, { targetModules: 'all-linear' });
    const after = valuesOf(model);
    for (const [name, values] of before) {
      const inside = name.replace(/^classifier\./, 'classifier.modules_to_save.default.');
      const wrapped = name.replace(/\.(weight|bias)$/, '.base_layer.$1');
      expect(after.get(name) ?? after.get(wrapped) ?? after.get(inside)).toEqual(values);
    }
  });
});

describe('several adapters', () => {
  const make = () => {
    const model = tinyRoberta();
    addAdapter(model, { r: 2, targetModules: ['query'] }, 'first');
    const second = { r: 3, loraAlpha: 6, targetModules: ['query', 'key'], modulesToSave: [] };
    addAdapter(model, second, { name: 'second', trainable: false });
    return model;
  };

  it('sit on one module; the last added is active', () => {
    const model = make();
    expect(adapterNames(model)).toEqual(['first', 'second']);
    expect(activeAdapters(model)).toEqual(['second']);
    expect(trainedNames(model)).toEqual([]);
    expect(loraNodes(model)).toHaveLength(4);
    setTrainable(model, 'second', true);
    expect(trainedNames(model)).toHaveLength(8);
    expect(trainedNames(model).every((name) => name.includes('.second.'))).toBe(true);
  });

  it('are summed: the first fused, the others beside it', () => {
    const model = make();
    setActiveAdapters(model, ['first', 'second']);
    const nodes = trace(model, { training: false }).nodes.filter(({ path }) =>
      path.endsWith('layer.0.attention.self.query'),
    );
    expect(nodes.map(({ op }) => op)).toEqual(['loraLinear', 'linear', 'scale', 'linear', 'add']);
    expect(nodes[2]!.attributes).toEqual({ factor: 2 });
    expect((model.getSubmodule('classifier') as ModulesToSave).active).toBe('first');
    expect(trainedNames(model).every((name) => name.includes('.first.'))).toBe(true);
    setActiveAdapters(model, 'second');
    expect((model.getSubmodule('classifier') as ModulesToSave).active).toBeUndefined();
  });

  it('can be disabled, which gives the base and its head', () => {
    const model = make();
    const plain = trace(tinyRoberta(), { training: false }).nodes.map(({ op, path }) => `${op} ${path}`);
    disableAdapters(model);
    expect(activeAdapters(model)).toEqual([]);
    expect(trainedNames(model)).toEqual([]);
    const graph = trace(model, { training: false });
    expect(graph.nodes.map(({ op, path }) => `${op} ${path}`)).toEqual(plain);
    expect(graph.parameters.every((p) => !p.requiresGrad)).toBe(true);
    enableAdapters(model);
    expect(activeAdapters(model)).toEqual(['second']);
  });

  it('are deleted one by one', () => {
    const model = make();
    deleteAdapter(model, 'second');
    expect(adapterNames(model)).toEqual(['first']);
    expect(linears(model).map(([path]) => path)).toEqual(
      [0, 1].map((i) => `roberta.encoder.layer.${i}.attention.self.query`),
    );
    expect(activeAdapters(model)).toEqual([]);
    deleteAdapter(model, 'first');
    expect(String(model)).toBe(String(tinyRoberta()));
    expect(count(model)).toBe(count(tinyRoberta()));
    expect(valuesOf(model)).toEqual(valuesOf(tinyRoberta()));
  });

  it.each<[string, (model: TaskModel) => void]>([
    ['setActiveAdapters', (model) => setActiveAdapters(model, ['first', 'third'])],
    ['deleteAdapter', (model) => deleteAdapter(model, 'third')],
    ['setTrainable', (model) => setTrainable(model, 'third', true)],
  ])('%s names those that are there when one is not', (_, action) => {
    const message = errorMessage('INVALID_ARGUMENT', () => action(make()));
    expect(message).toContain('no adapter "third"; it has: first, second');
  });
});
