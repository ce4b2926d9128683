/**
 * Weighted combinations of adapters: PEFT's results (test/fixtures/combine), what is done otherwise
 * than in PEFT, and the algebra below.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { RandomStream } from '../../src/base/philox';
import { SafetensorsFile, tensorSource } from '../../src/io/safetensors';
import {
  activeAdapters,
  adapterNames,
  addAdapter,
  type CombineOptions,
  combineAdapters,
  type LoraLinear,
  loadAdapter,
  saveAdapter,
  setActiveAdapters,
} from '../../src/lora';
import { symmetricEigen } from '../../src/lora/combine/eigen';
import { lowRankOf, lowRankOfProduct, multiply, transpose } from '../../src/lora/combine/low_rank';
import { pruneRandomly, pruneSmallest } from '../../src/lora/combine/sparse';
import { loraLinears } from '../../src/lora/registry';
import { loadModel, type TaskModel } from '../../src/models';
import { errorMessage, temporaryFolder } from '../io/temporary';
import { oracleFile } from '../oracle/cases';
import { difference, fillAdapters, logits, tinyRoberta } from './models';

const COMBINE = path.join(__dirname, '..', 'fixtures', 'combine');

interface StoredCase {
  name: string;
  type: NonNullable<CombineOptions['type']>;
  adapters: string[];
  weights: number[];
  options: { density?: number; svd_rank?: number; majority_sign_method?: 'total' | 'frequency' };
}

const { cases } = JSON.parse(fs.readFileSync(path.join(COMBINE, 'cases.json'), 'utf8')) as { cases: StoredCase[] };

/** B A in float64, and its largest difference from another one, relative to the largest entry. */
const product = (A: Float32Array, B: Float32Array, rank: number) =>
  multiply(Float64Array.from(B), Float64Array.from(A), B.length / rank, rank, A.length / rank);
function relative(got: ArrayLike<number>, want: ArrayLike<number>): number {
  expect(got.length).toBe(want.length);
  let [largest, most] = [0, 0];
  for (let i = 0; i < want.length; i++) {
    largest = Math.max(largest, Math.abs(want[i]!));
    most = Math.max(most, Math.abs(got[i]! - want[i]!));
  }
  return most / largest;
}

describe('equal PEFT’s', () => {
  const stored = new Map(
    [...SafetensorsFile.open(path.join(COMBINE, 'results.safetensors')).tensors].map(([name, info]) => [
      name,
      tensorSource(info).read(),
    ]),
  );
  const { model } = loadModel(oracleFile('models/roberta-seqcls'));
  for (const name of ['a', 'b', 'c', 'd']) loadAdapter(model, COMBINE, name);

  it.each(cases.map((one) => [one.name, one] as const))('%s', (name, { type, adapters, weights, options }) => {
    const made = name.replaceAll('-', '_');
    const { density, svd_rank: rank, majority_sign_method: majoritySign } = options;
    const parts = adapters.map((adapter, i) => ({ adapter, weight: weights[i]! }));
    const given = { density, rank, majoritySign };
    const compact = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    const paths = combineAdapters(model, made, parts, { type, ...compact });
    expect(paths.length).toBe([...stored.keys()].filter((key) => key.startsWith(`${name}/`)).length / 2);
    for (const at of paths) {
      const { A, B, settings } = (model.getSubmodule(at) as LoraLinear).adapter(made);
      const [wantA, wantB] = ['A', 'B'].map((half) => stored.get(`${name}/${at}.lora_${half}.weight`)!) as [
        Float32Array,
        Float32Array,
      ];
      expect(settings.scaling).toBe(1);
      const want = product(wantA, wantB, wantA.length / A.shape[1]!);
      expect(relative(product(A.data(), B.data(), settings.rank), want)).toBeLessThan(1e-6);
      if (type === 'cat' || type.endsWith('svd')) continue;
      expect(relative(A.data(), wantA)).toBeLessThan(2e-7);
      expect(relative(B.data(), wantB)).toBeLessThan(2e-7);
    }
  });
});

/** Adapters of other ranks, patterns and kinds of factor, without heads. */
function make(): TaskModel {
  const model = tinyRoberta();
  const common = { modulesToSave: [] };
  addAdapter(model, { ...common, r: 2, targetModules: ['query', 'key'], rankPattern: { key: 4 } }, 'patterned');
  addAdapter(
    model,
    { ...common, r: 2, useRslora: true, targetModules: ['query', 'key'], rankPattern: { key: 4 } },
    'rs',
  );
  addAdapter(model, { ...common, r: 3, loraAlpha: 12, targetModules: ['query', 'value'] }, 'other');
  fillAdapters(model, 0.3);
  return model;
}

describe('right where PEFT is not', () => {
  it('cat is the sum of the adapters, with rsLoRA, patterns and modules that one lacks; saved and loaded too', async () => {
    const model = make();
    setActiveAdapters(model, ['patterned', 'rs', 'other']);
    const sum = await logits(model);
    const weights = ['patterned', 'rs', 'other'].map((adapter) => ({ adapter, weight: 1 }));
    combineAdapters(model, 'all', weights, { type: 'cat' });
    expect(activeAdapters(model)).toEqual(['all']);
    expect(difference(await logits(model), sum)).toBeLessThan(1e-6);
    const ranks = new Map(loraLinears(model).map(([at, m]) => [at.split('.').at(-1), m.adapters.get('all')?.rank]));
    expect([...ranks]).toEqual([
      ['query', 7],
      ['key', 8],
      ['value', 3],
    ]);
    const again = tinyRoberta();
    loadAdapter(again, saveAdapter(model, temporaryFolder(), 'all'), 'all');
    expect(await logits(again)).toEqual(await logits(model));
  });

  it('linear keeps ranks by module, and loads again', async () => {
    const model = make();
    combineAdapters(
      model,
      'both',
      [
        { adapter: 'patterned', weight: 0.5 },
        { adapter: 'rs', weight: 0.5 },
      ],
      { type: 'linear' },
    );
    const want = await logits(model);
    const again = tinyRoberta();
    loadAdapter(again, saveAdapter(model, temporaryFolder(), 'both'), 'both');
    expect(await logits(again)).toEqual(want);
  });

  it('one adapter is combined as it was asked: its best approximation of a smaller rank', async () => {
    const model = make();
    setActiveAdapters(model, 'other');
    const want = await logits(model);
    combineAdapters(model, 'same', [{ adapter: 'other', weight: 1 }], { type: 'svd' });
    expect(difference(await logits(model), want)).toBeLessThan(1e-6);
    combineAdapters(model, 'small', [{ adapter: 'other', weight: 1 }], { rank: 1 });
    expect(loraLinears(model).every(([, { adapters }]) => (adapters.get('small')?.rank ?? 1) === 1)).toBe(true);
    const gone = combineAdapters(
      model,
      'gone',
      ['other', 'same'].map((adapter, i) => ({ adapter, weight: 1 - 2 * i })),
      { type: 'cat' },
    );
    expect(gone).toHaveLength(4);
    expect(difference(await logits(model), await logits(tinyRoberta()))).toBeLessThan(1e-6);
  });

  it('random pruning is a function of the seed, and right on average', () => {
    const model = make();
    const drawn = (name: string, seed: number) => {
      const parts = [
        { adapter: 'patterned', weight: 1 },
        { adapter: 'rs', weight: 1 },
      ];
      combineAdapters(model, name, parts, { type: 'dare_linear', density: 0.5, seed });
      return String(loraLinears(model).map(([, linear]) => linear.adapters.has(name) && linear.adapter(name).A.data()));
    };
    expect(drawn('one', 1)).toBe(drawn('same', 1));
    expect(drawn('two', 2)).not.toBe(drawn('one_more', 1));
    const values = new Float64Array(20_000).fill(2);
    const kept = pruneRandomly(values, 0.3, new RandomStream(1, 9));
    expect([...new Set(kept)].sort()).toEqual([0, 2 / 0.3]);
    expect(Math.abs(kept.reduce((a, b) => a + b, 0) / 20_000 - 2)).toBeLessThan(0.1);
  });

  it('the largest magnitudes stay, as many as ⌊density · n⌋, of equal ones the first', () => {
    expect([...pruneSmallest(Float64Array.of(1, -3, 2, -2, 2), 0.5)]).toEqual([0, -3, 2, 0, 0]);
    expect([...pruneSmallest(new Float64Array(100).fill(1), 0.29)].filter((x) => x !== 0)).toHaveLength(28);
    expect([...pruneSmallest(Float64Array.of(1, 2), 0.4)]).toEqual([0, 0]);
  });
});

describe('heads', () => {
  const headed = () => {
    const model = tinyRoberta();
    addAdapter(model, { r: 2, targetModules: ['query'] }, 'intent');
    addAdapter(model, { r: 2, targetModules: ['query'] }, 'toxic');
    addAdapter(model, { r: 2, targetModules: ['query'], modulesToSave: [] }, 'plain');
    for (const [name, parameter] of model.namedParameters()) {
      const head = /modules_to_save\.(\w+)\.out_proj\.bias/.exec(name)?.[1];
      if (head) parameter.setData(Float32Array.of(head === 'intent' ? 1 : -1, 2));
    }
    return model;
  };
  const bias = (model: TaskModel, name: string) => [
    ...model
      .namedParameters()
      .find(([at]) => at === `classifier.modules_to_save.${name}.out_proj.bias`)![1]
      .data(),
  ];

  it('of the one adapter that has one goes along, in any place', () => {
    const model = headed();
    combineAdapters(model, 'both', [
      { adapter: 'plain', weight: 1 },
      { adapter: 'toxic', weight: 1 },
    ]);
    expect(bias(model, 'both')).toEqual([-1, 2]);
    combineAdapters(model, 'none', [{ adapter: 'plain', weight: 1 }]);
    expect(model.namedParameters().some(([at]) => at.includes('.none.out_proj'))).toBe(false);
  });

  it('of several need a choice', () => {
    const model = headed();
    const parts = [
      { adapter: 'intent', weight: 1 },
      { adapter: 'toxic', weight: 1 },
    ];
    const message = errorMessage('INVALID_LORA', () => combineAdapters(model, 'both', parts));
    expect(message).toContain('"intent" and "toxic" each hold modules whole (classifier)');
    combineAdapters(model, 'both', parts, { headOf: 'intent' });
    expect(bias(model, 'both')).toEqual([1, 2]);
    expect(errorMessage('INVALID_ARGUMENT', () => combineAdapters(model, 'x', parts, { headOf: 'plain' }))).toContain(
      'it must be one of the combined adapters that hold modules whole: intent, toxic',
    );
  });
});

describe('refused, with nothing changed', () => {
  const one = [{ adapter: 'patterned', weight: 1 }];
  it.each<[string, [string, typeof one, CombineOptions?], string, ('INVALID_ARGUMENT' | 'INVALID_LORA')?]>([
    ['a name that is taken', ['rs', one], 'already has an adapter "rs"', 'INVALID_LORA'],
    ['a name that can not be one', ['a.b', one], '"a.b" can not name an adapter', 'INVALID_LORA'],
    ['nothing', ['x', []], 'there is nothing to combine'],
    ['an adapter that is not there', ['x', [{ adapter: 'spam', weight: 1 }]], 'has no adapter "spam"'],
    ['an adapter twice', ['x', [...one, ...one]], 'adapter "patterned" is named twice'],
    ['a weight that is no number', ['x', [{ adapter: 'rs', weight: Number.NaN }]], 'the weight of "rs" is NaN'],
    ['an unknown type', ['x', one, { type: 'tie' as 'ties' }], 'type is "tie" (was ties meant?)'],
    ['a missing density', ['x', one, { type: 'ties' }], 'density is undefined; the type ties needs'],
    ['a density of 0', ['x', one, { type: 'dare_ties', density: 0 }], 'density is 0; the type dare_ties needs'],
    ['a density without use', ['x', one, { type: 'cat', density: 0.5 }], 'density is given, and the type cat has none'],
    ['a rank without use', ['x', one, { type: 'linear', rank: 2 }], 'rank is given, and the type linear has none'],
    [
      'a rank above a matrix',
      ['x', one, { rank: 17 }],
      'rank is 17, and "roberta.encoder.layer.0.attention.self.query" is [16, 16]',
    ],
    ['a rank that is none', ['x', one, { rank: 0 }], 'rank is 0; it must be an integer from 1'],
    ['a sign without use', ['x', one, { majoritySign: 'total' }], 'majoritySign is given, and the type svd has none'],
    ['a seed without use', ['x', one, { seed: 1 }], 'seed is given, and the type svd has none'],
    [
      'ranks that differ',
      ['x', [...one, { adapter: 'other', weight: 1 }], { type: 'linear' }],
      'ranks 2 and 3 on "roberta.encoder.layer.0.attention.self.query"',
      'INVALID_LORA',
    ],
  ])('%s', (_, [name, parts, options], text, code = 'INVALID_ARGUMENT') => {
    const model = make();
    const before = String(model);
    expect(errorMessage(code, () => combineAdapters(model, name, parts, options))).toContain(text);
    expect(String(model)).toBe(before);
    expect(adapterNames(model)).toEqual(['patterned', 'rs', 'other']);
  });

  it('ranks that are too large together, and values that are none', () => {
    const model = tinyRoberta();
    for (const name of ['a', 'b']) addAdapter(model, { r: 16, modulesToSave: [] }, name);
    for (let i = 0; i < 4; i++) {
      const parts = (i === 0 ? ['a', 'b'] : [`c${i - 1}`, 'a', 'b']).map((adapter) => ({ adapter, weight: 1 }));
      combineAdapters(model, `c${i}`, parts, { type: 'cat' });
    }
    const parts = ['c0', 'c1', 'c2', 'c3'].map((adapter) => ({ adapter, weight: 1 }));
    expect(errorMessage('INVALID_LORA', () => combineAdapters(model, 'x', parts, { type: 'cat' }))).toContain(
      'are 320 together, above 256. Take the type svd',
    );
    expect(adapterNames(model)).toHaveLength(6);
    const [, parameter] = model.namedParameters().find(([at]) => at.includes('lora_A.a'))!;
    parameter.setData(new Float32Array(parameter.count).fill(Number.NaN));
    expect(
      errorMessage('INVALID_ARGUMENT', () => combineAdapters(model, 'x', [{ adapter: 'a', weight: 1 }])),
    ).toContain('adapter "a" of "roberta.encoder.layer.0.attention.self.query" holds NaN');
  });
});

describe('the best approximation of a rank', () => {
  const random = new RandomStream(3, 9);
  const matrix = (m: number, n: number) => Float64Array.from({ length: m * n }, () => 2 * random.uniform() - 1);
  const norm = (x: Float64Array) => Math.hypot(...x);
  const minus = (x: Float64Array, y: Float64Array) => x.map((value, i) => value - y[i]!);

  it('eigenvectors turn a symmetric matrix into its eigenvalues', () => {
    for (const n of [1, 2, 5, 40]) {
      const M = matrix(n, n);
      const S = multiply(M, transpose(M, n, n), n, n, n);
      const { values, vectors } = symmetricEigen(S, n);
      const turned = multiply(multiply(vectors, S, n, n, n), transpose(vectors, n, n), n, n, n);
      const diagonal = new Float64Array(n * n);
      for (let i = 0; i < n; i++) diagonal[i * (n + 1)] = values[i]!;
      expect(norm(minus(turned, diagonal))).toBeLessThan(1e-12 * norm(S) * n);
      expect([...values]).toEqual([...values].sort((a, b) => b - a));
    }
  });

  it.each([
    [12, 20],
    [20, 12],
    [9, 9],
  ])('of [%i, %i] leaves the smaller singular values, whole or as a product', (m, n) => {
    const M = matrix(m, n);
    const gram = symmetricEigen(multiply(M, transpose(M, m, n), m, n, m), m).values;
    for (const rank of [1, 3, 7]) {
      const least = Math.sqrt(gram.slice(rank).reduce((sum, value) => sum + Math.max(0, value), 0));
      const { A, B } = lowRankOf(M, [m, n], rank);
      expect(norm(minus(M, multiply(B, A, m, rank, n)))).toBeCloseTo(least, 7);
      const eye = multiply(A, transpose(A, rank, n), rank, n, rank);
      expect(
        norm(
          minus(
            eye,
            Float64Array.from(eye, (_, i) => +(i % (rank + 1) === 0)),
          ),
        ),
      ).toBeLessThan(1e-12);
    }
  });

  it('is exact where the rank is enough, also of equal, dependent and missing parts', () => {
    const [left, right] = [matrix(10, 3), matrix(3, 14)];
    const M = multiply(left, right, 10, 3, 14);
    const doubled = new Float64Array(2 * right.length);
    doubled.set(right);
    doubled.set(right, right.length);
    const wide = new Float64Array(10 * 6);
    for (let i = 0; i < 10; i++) for (let j = 0; j < 6; j++) wide[i * 6 + j] = left[i * 3 + (j % 3)]! / 2;
    for (const rank of [3, 5, 10]) {
      const made = lowRankOfProduct(wide, doubled, [10, 6, 14], rank);
      expect(made.A).toHaveLength(rank * 14);
      expect(norm(minus(M, multiply(made.B, made.A, 10, rank, 14)))).toBeLessThan(1e-7);
      const whole = lowRankOf(M, [10, 14], rank);
      expect(norm(minus(M, multiply(whole.B, whole.A, 10, rank, 14)))).toBeLessThan(1e-7);
    }
    const nothing = lowRankOf(new Float64Array(6 * 4), [6, 4], 2);
    expect(norm(nothing.B)).toBe(0);
    expect(norm(nothing.A)).toBeCloseTo(Math.SQRT2, 12);
  });
});
