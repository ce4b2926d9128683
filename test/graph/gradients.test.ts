/**
 * Whole graphs: the gradient rules, wired together, against
 * central differences and against one another.
 */
import { add, attention, crossEntropy, dropout, linear, mse, scale } from '../../src/graph/ops';
import type { Parameter } from '../../src/graph/parameter';
import { type PlanOptions, plan } from '../../src/graph/plan';
import { type BatchTensors, Program } from '../../src/graph/program';
import { Graph, type Value } from '../../src/graph/value';
import { describeWithAddon, encoder, Parameters } from './fixtures';

const T = 9;
const S = 3;
const batch: BatchTensors = {
  sizes: { T, S, M: 0 },
  tensors: {
    tokenIds: Int32Array.of(0, 4, 1, 0, 7, 0, 3, 10, 4),
    positionIds: Int32Array.of(0, 1, 2, 0, 1, 0, 1, 2, 3),
    cuSeqlens: Int32Array.of(0, 3, 5, 9),
    firstToken: Int32Array.of(0, 3, 5),
    labels: Int32Array.of(1, 0, 1),
  },
};
const seed = { seed: 7n, forwardNumber: 3 };

type Gradients = Map<string, Float64Array>;

async function gradients(
  graph: Graph,
  tensors: BatchTensors,
  options: Partial<PlanOptions> = {},
  backend: 'cpu' | 'reference' = 'reference',
): Promise<Gradients> {
  const trained = plan(graph, { train: true, ...options });
  using program = new Program(trained, { backend, compute: backend === 'reference' ? 'f64' : 'f32' });
  await program.accumulate(tensors, { ...seed, zeroGradients: true });
  return new Map(trained.trained.map((parameter) => [parameter.name, Float64Array.from(program.gradient(parameter))]));
}

const largest = (values: Float64Array) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/**
 * DESIGN.md, rule 12: per tensor, against the largest entry
 * of the tensor or a thousandth of the model's.
 */
function expectClose(actual: Gradients, expected: Gradients, tolerance: number): void {
  const G = Math.max(...[...expected.values()].map(largest));
  expect(G).toBeGreaterThan(0);
  for (const [name, values] of actual) {
    const wanted = expected.get(name) as Float64Array;
    const bound = tolerance * Math.max(largest(wanted), 1e-3 * G);
    const error = largest(values.map((value, i) => value - (wanted[i] as number)));
    expect([name, error <= bound, error <= bound ? 0 : error / bound]).toEqual([name, true, 0]);
  }
}

/**
 * Central differences of a few entries of each parameter, with the gradients at the same entries.
 */
async function expectDifferences(graph: Graph, parameters: Iterable<Parameter>, tensors: BatchTensors): Promise<void> {
  const all = await gradients(graph, tensors);
  const G = Math.max(...[...all.values()].map(largest));
  using program = new Program(plan(graph, { train: false, fused: false }), { backend: 'reference', compute: 'f64' });
  const random = new Parameters(() => true);
  const step = 1e-5;
  for (const parameter of parameters) {
    const device = parameter.onDevice('reference', 'f64');
    const values = device.readDouble('value');
    const at = async (i: number, change: number) => {
      const moved = values.slice();
      moved[i] = (values[i] as number) + change;
      device.write('value', moved);
      await program.forward(tensors, seed);
      return program.scalar('loss');
    };
    const gradient = all.get(parameter.name) as Float64Array;
    for (let n = 0; n < 4; n++) {
      const i = Math.floor(((random.uniform() + 1) / 2) * values.length);
      const difference = ((await at(i, step)) - (await at(i, -step))) / (2 * step);
      const error = Math.abs((gradient[i] as number) - difference);
      const bound = 1e-6 * Math.max(largest(gradient), 1e-3 * G);
      expect([parameter.name, i, error <= bound, error <= bound ? 0 : error]).toEqual([parameter.name, i, true, 0]);
    }
    device.write('value', values);
  }
}

describeWithAddon('gradients of whole graphs', () => {
  test.each([0, 0.25])('an encoder, everything trained, against central differences (dropout %d)', async (p) => {
    const { graph, parameters } = encoder({ layers: 2, dropout: p, trainable: () => true });
    await expectDifferences(graph, parameters.all.values(), batch);
  });

  test.each([0, 0.25])('fused, separate and the CPU backend agree (dropout %d)', async (p) => {
    const { graph } = encoder({ layers: 2, dropout: p, trainable: () => true });
    const fused = await gradients(graph, batch);
    expectClose(await gradients(graph, batch, { fused: false }), fused, 1e-9);
    expectClose(await gradients(graph, batch, {}, 'cpu'), fused, 1e-4);
    expectClose(await gradients(graph, batch, { fused: false }, 'cpu'), fused, 1e-4);
  });

  test.each([
    ['adapters and head', /lora|classifier/],
    ['A alone', /loraA/],
    ['B alone', /loraB/],
    ['the embeddings below frozen adapters', /embeddings/],
    ['biases and LayerNorm', /bias|LayerNorm/],
    ['weights below adapters', /layer\.0.*weight/],
    ['the head', /classifier/],
  ])('training %s alone gives the same gradients as training everything', async (_name, pattern) => {
    const { graph, parameters } = encoder({ layers: 2, dropout: 0.25, trainable: () => true });
    const everything = await gradients(graph, batch);
    for (const [name, parameter] of parameters.all) parameter.requiresGrad = pattern.test(name);
    for (const fused of [true, false]) {
      const some = await gradients(graph, batch, { fused });
      expect([...some.keys()].sort()).toEqual([...parameters.all.keys()].filter((name) => pattern.test(name)).sort());
      expectClose(some, everything, 1e-9);
    }
  });

  /** Rows [T, 4] as input, cuSeqlens, and a loss of what `build` makes of them. */
  const small = (build: (x: Value, parameters: Parameters) => Value) => {
    const graph = new Graph(true);
    const parameters = new Parameters(() => true);
    const y = build(graph.input('x', 'float', ['T', 4]), parameters);
    graph.outputs.set('loss', mse(y, graph.input('target', 'float', y.shape)));
    const random = new Parameters(() => true);
    const rows = (n: number) => Float32Array.from({ length: n }, () => random.uniform());
    const tensors = { x: rows(T * 4), target: rows(T * y.features), cuSeqlens: Int32Array.of(0, 3, 5, 9) };
    const used = new Set(graph.inputs.keys());
    return {
      graph,
      parameters: parameters.all.values(),
      tensors: {
        sizes: { T, S, M: 0 },
        tensors: Object.fromEntries(Object.entries(tensors).filter(([name]) => used.has(name))),
      },
    };
  };

  test('values with several readers: one value as q, k and v, both addends, a tied weight', async () => {
    const { graph, parameters, tensors } = small((x, make) => {
      const W = make.make('W', [4, 4]);
      const h = linear(x, W);
      const y = attention(h, h, h, h.graph.input('cuSeqlens', 'i32', ['S+1']), { numHeads: 2, dropout: 0.25 });
      return linear(add(add(y, y), scale(dropout(h, 0.25), 3)), W);
    });
    await expectDifferences(graph, parameters, tensors);
  });

  test('cross-entropy with label smoothing, class weights and ignored rows', async () => {
    const graph = new Graph(true);
    const parameters = new Parameters((name) => name !== 'classWeights');
    const logits = linear(graph.input('x', 'float', ['T', 4]), parameters.make('W', [3, 4]), parameters.make('b', [3]));
    const classWeights = parameters.make('classWeights', [3], { offset: 1 });
    const options = { classWeights, labelSmoothing: 0.1, ignoreIndex: -1 };
    graph.outputs.set('loss', crossEntropy(logits, graph.input('labels', 'i32', ['T']), options));
    const x = Float32Array.from({ length: T * 4 }, () => parameters.uniform());
    const labels = Int32Array.of(0, 1, -1, 2, 2, -1, 0, 1, 1);
    const tensors = { sizes: { T, S, M: 0 }, tensors: { x, labels } };
    await expectDifferences(graph, [parameters.get('W'), parameters.get('b')], tensors);
  });

  test('timings: seconds of each instruction and of the optimizer since the last call', async () => {
    using program = new Program(plan(encoder().graph, { train: true }), { backend: 'cpu' });
    await program.accumulate(batch, { ...seed, zeroGradients: true });
    const first = program.takeTimings();
    expect(first.instructions.map(({ node }) => node)).toEqual([...program.plan.instructions]);
    expect(first.instructions.every(({ seconds }) => seconds > 0)).toBe(true);
    expect(first.optimizer).toBe(0);
    const group = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 };
    await program.apply({ groups: [group], groupOf: () => 0, step: 1 });
    const second = program.takeTimings();
    expect(second.optimizer).toBeGreaterThan(0);
    expect(second.instructions.every(({ seconds }) => seconds === 0)).toBe(true);
  });
});
