import { addAdapter, LORA_PRESETS, type LoraConfig, type LoraLinear } from '../../src/lora';
import { createModel, type TaskModel } from '../../src/models';
import { TINY_ROBERTA } from '../models/configs';
import { tinyBert, tinyRoberta } from './models';

/** Adapted modules without their common start, with rank and scaling. */
function adapted(model: TaskModel, config: LoraConfig): string[] {
  return addAdapter(model, config).map((path) => {
    const { rank, scaling } = (model.getSubmodule(path) as LoraLinear).adapters.get('default')!;
    return `${path.replace(/^(roberta|bert)\.encoder\.layer\./, '')} r${rank} s${scaling}`;
  });
}

const paths = (model: TaskModel, config: LoraConfig) => adapted(model, config).map((line) => line.split(' ')[0]!);

const LAYER = [
  'attention.self.query',
  'attention.self.key',
  'attention.self.value',
  'attention.output.dense',
  'intermediate.dense',
  'output.dense',
];
const both = (...names: string[]) => [0, 1].flatMap((layer) => names.map((name) => `${layer}.${name}`));

describe('target modules', () => {
  it.each<[string, LoraConfig, string[]]>([
    ['a list of last parts', { targetModules: ['query', 'value'] }, both(LAYER[0]!, LAYER[2]!)],
    ['the default', {}, both(LAYER[0]!, LAYER[2]!)],
    ['two parts, which both kinds of output have', { targetModules: ['output.dense'] }, both(LAYER[3]!, LAYER[5]!)],
    ['a last part means whole names', { targetModules: ['dense'] }, both(...LAYER.slice(3))],
    ['a full path', { targetModules: ['roberta.encoder.layer.1.output.dense'] }, ['1.output.dense']],
    [
      'a regular expression for the whole path',
      { targetModules: '.*layer\\.1\\..*(query|key)' },
      ['1.attention.self.query', '1.attention.self.key'],
    ],
    ["Python's named groups", { targetModules: '.*\\.(?P<which>key)' }, both(LAYER[1]!)],
    ['all-linear', { targetModules: 'all-linear' }, both(...LAYER)],
    [
      'excluded names',
      { targetModules: 'all-linear', excludeModules: ['query', 'output.dense'] },
      both(LAYER[1]!, LAYER[2]!, LAYER[4]!),
    ],
    [
      'an excluded expression',
      { targetModules: ['query'], excludeModules: '.*layer\\.0.*' },
      ['1.attention.self.query'],
    ],
    ['a layer', { targetModules: ['key'], layersToTransform: 1 }, ['1.attention.self.key']],
    [
      'layers of a named list',
      { targetModules: ['key'], layersToTransform: [0], layersPattern: 'layer' },
      ['0.attention.self.key'],
    ],
  ])('are found by %s', (_, config, expected) => {
    expect(paths(tinyRoberta(), config)).toEqual(expected);
  });

  it('all-linear takes the pooler of BERT and leaves the heads out', () => {
    expect(paths(tinyBert(), { targetModules: 'all-linear' })).toEqual([...both(...LAYER), 'bert.pooler.dense']);
    expect(paths(tinyBert('token-classification'), { targetModules: 'all-linear' })).toEqual(both(...LAYER));
    expect(paths(tinyRoberta('masked-lm'), { targetModules: 'all-linear' })).toEqual([
      ...both(...LAYER),
      'lm_head.dense',
    ]);
    expect(paths(tinyBert('masked-lm'), { targetModules: 'all-linear' })).toEqual([
      ...both(...LAYER),
      'cls.predictions.transform.dense',
    ]);
  });

  it('of a saved head are left out', () => {
    const config = { r: 2, targetModules: ['dense', 'out_proj'] };
    expect(paths(tinyRoberta(), config)).toEqual(both(...LAYER.slice(3)));
    expect(paths(tinyRoberta(), { ...config, modulesToSave: [] })).toEqual([
      ...both(...LAYER.slice(3)),
      'classifier.dense',
      'classifier.out_proj',
    ]);
  });
});

describe('ranks and scaling', () => {
  it('are r and alpha / r', () => {
    expect(adapted(tinyRoberta(), { r: 4, loraAlpha: 16, targetModules: ['key'] })).toEqual([
      '0.attention.self.key r4 s4',
      '1.attention.self.key r4 s4',
    ]);
  });

  it('are alpha / sqrt r for rank-stabilised LoRA', () => {
    expect(adapted(tinyRoberta(), { r: 4, loraAlpha: 16, useRslora: true, targetModules: ['key'] })[0]).toBe(
      '0.attention.self.key r4 s8',
    );
  });

  it('differ by pattern, at the end of the path', () => {
    const config = {
      r: 4,
      loraAlpha: 8,
      targetModules: ['query', 'key'],
      rankPattern: { 'layer.0.attention.self.query': 2, '.*key': 1 },
      alphaPattern: { key: 3 },
    };
    expect(adapted(tinyRoberta(), config)).toEqual([
      '0.attention.self.query r2 s4',
      '0.attention.self.key r1 s3',
      '1.attention.self.query r4 s2',
      '1.attention.self.key r1 s3',
    ]);
  });
});

describe("the article's patterns", () => {
  it('have ranks of their own and scale 1', () => {
    expect(adapted(tinyRoberta(), { pattern: 'query(4)|layer.\\d+.output(8)', r: 2 })).toEqual([
      '0.attention.self.query r4 s1',
      '0.output.dense r8 s1',
      '1.attention.self.query r4 s1',
      '1.output.dense r8 s1',
    ]);
    expect(adapted(tinyRoberta(), { pattern: 'key|1.attention.self.(query|key|value)(3)', r: 2 })).toEqual([
      '0.attention.self.key r2 s1',
      '1.attention.self.query r3 s1',
      '1.attention.self.key r2 s1',
      '1.attention.self.value r3 s1',
    ]);
  });

  it.each<[string, string[]]>([
    ['clf_only', []],
    ['all_linears', both(...LAYER)],
    ['all', both(...LAYER)],
    ['att_q', both(LAYER[0]!)],
    ['att_k', both(LAYER[1]!)],
    ['att_v', both(LAYER[2]!)],
    ['att_o', both(LAYER[3]!)],
    ['ff_u', both(LAYER[4]!)],
    ['ff_d', both(LAYER[5]!)],
    ['ff_d+ff_u', both(LAYER[4]!, LAYER[5]!)],
    ['att_qk+ff_u', both(LAYER[0]!, LAYER[1]!, LAYER[4]!)],
    ['att_qv+ff_u', both(LAYER[0]!, LAYER[2]!, LAYER[4]!)],
    ['att_q+ff_u', both(LAYER[0]!, LAYER[4]!)],
    ['att_q+ff_d', both(LAYER[0]!, LAYER[5]!)],
    ['att_k+ff_u', both(LAYER[1]!, LAYER[4]!)],
    ['att_v+ff_d', both(LAYER[2]!, LAYER[5]!)],
    ['att_v+ff_u', both(LAYER[2]!, LAYER[4]!)],
    ['att_o+ff_u', both(LAYER[3]!, LAYER[4]!)],
  ])('preset %s', (pattern, expected) => {
    expect(paths(tinyRoberta(), { pattern, r: 2 })).toEqual(expected);
  });

  it.each<[string, number, number[]]>([
    ['12_top1', 12, [11]],
    ['12_bot1', 12, [0]],
    ['12_upper', 12, [6, 8, 9, 11]],
    ['12_lower', 12, [0, 2, 4, 6]],
    ['12_even', 12, [0, 4, 7, 11]],
    ['24_upper', 24, [12, 14, 16, 19, 21, 23]],
    ['24_lower', 24, [0, 2, 4, 7, 9, 11]],
    ['24_even', 24, [0, 5, 9, 14, 18, 23]],
    ['12_top2_ff_u', 12, [10, 11]],
    ['12_lowest2_ff_u', 12, [0, 1]],
  ])('preset %s', (pattern, layers, expected) => {
    const model = createModel({ ...TINY_ROBERTA, num_hidden_layers: layers }, { task: 'sequence-classification' });
    const found = paths(model, { pattern, r: 2 });
    expect([...new Set(found.map((path) => Number(path.split('.')[0])))]).toEqual(expected);
    expect(found).toHaveLength(expected.length * (pattern.endsWith('ff_u') ? 1 : 6));
  });

  it('are all there', () => {
    expect(Object.keys(LORA_PRESETS)).toHaveLength(28);
  });
});
