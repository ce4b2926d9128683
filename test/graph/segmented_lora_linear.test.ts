/**
 * segmentedLoraLinear in whole graphs: its gradient rule against loraLinear's for each segment
 * alone, bit for bit, what is left of it where less is trained, fusion, and dead tokens.
 * The op itself: native/test/segmented_lora_tests.cc.
 */
import {
  type AdapterSlots,
  activation,
  add,
  gatherRows,
  linear,
  loraLinear,
  mse,
  segmentedLoraLinear,
} from '../../src/graph/ops';
import { Parameter } from '../../src/graph/parameter';
import { plan } from '../../src/graph/plan';
import { type BatchTensors, Program } from '../../src/graph/program';
import { Graph, type Value } from '../../src/graph/value';
import { describeWithAddon, Parameters } from './fixtures';

const K = 8;
const N = 6;
const RANK = 4;
/** Rows and rank of each slot; then come two rows without an adapter. */
const SLOTS = [
  { rows: 3, rank: 2, scaling: 2 },
  { rows: 0, rank: 4, scaling: 1 },
  { rows: 4, rank: 3, scaling: 0.5 },
];
const T = 9;

function layer(trainable: (name: string) => boolean = (name) => /^[AB]\d/.test(name)) {
  const parameters = new Parameters(trainable);
  const make = (name: string, ...shape: number[]) => parameters.make(name, shape);
  const below = make('below', K, K);
  const W = make('W', N, K);
  const b = make('b', N);
  const adapters = SLOTS.map(({ rank }, g) => ({ A: make(`A${g}`, rank, K), B: make(`B${g}`, N, rank) }));
  const stacked = (rows: number, columns: number, each: number, of: (g: number) => Float32Array, name: string) => {
    const values = new Float32Array(rows * columns);
    SLOTS.forEach((_, g) => {
      values.set(of(g), g * each);
    });
    return new Parameter([rows, columns], values, { name, requiresGrad: trainable(`${name}0`) });
  };
  const slots: AdapterSlots = {
    A: stacked(SLOTS.length * RANK, K, RANK * K, (g) => adapters[g]!.A.data(), 'A'),
    B: stacked(SLOTS.length * N, RANK, N * RANK, (g) => adapters[g]!.B.data(), 'B'),
    settings: new Parameter(
      [SLOTS.length, 2],
      Float32Array.from(SLOTS.flatMap(({ rank, scaling }) => [rank, scaling])),
      { name: 'settings', requiresGrad: false },
    ),
  };
  return { below, W, b, adapters, slots };
}

const random = new Parameters(() => false);
const xs = Float32Array.from({ length: T * K }, () => random.uniform());
const targets = Float32Array.from({ length: T * N }, () => random.uniform());
const tokens = Int32Array.of(5, 9, 12, 0, 1, 7, 8, 3, 4);

/** Σ over rows, so that the gradient of a row does not depend on how many there are. */
const lossOf = (graph: Graph, y: Value) => {
  const loss = mse(y, graph.input('target', 'float', y.shape));
  graph.outputs.set('loss', loss);
  graph.outputs.set('y', y);
};

function rowsOf(first: number, rows: number): BatchTensors {
  return {
    sizes: { T: rows, S: 1, M: 0 },
    tensors: {
      x: xs.slice(first * K, (first + rows) * K),
      target: targets.slice(first * N, (first + rows) * N),
      tokenIndex: tokens.slice(first, first + rows),
      tokenEnds: Int32Array.of(3, 3, 7),
    },
  };
}

const describeOps = (graph: Graph) => plan(graph, { train: true }).toString();

describeWithAddon('rows of several adapters', () => {
  test.each([0, 0.5])('have the results and gradients of each adapter alone, bit for bit (dropout %d)', async (p) => {
    const { below, W, b, adapters, slots } = layer();
    const lossScale = (rows: number) => rows * N; // undoes the mean
    const start = () => {
      const graph = new Graph(true);
      const x = linear(graph.input('x', 'float', ['T', K]), below);
      return { graph, x, tokenIndex: graph.input('tokenIndex', 'i32', ['T']) };
    };
    const mixed = start();
    lossOf(mixed.graph, segmentedLoraLinear(mixed.x, W, b, slots, { dropout: p, tokenIndex: mixed.tokenIndex }));
    using program = new Program(plan(mixed.graph, { train: true }), { backend: 'cpu' });
    await program.accumulate(rowsOf(0, T), { seed: 7n, zeroGradients: true, lossScale: lossScale(T) });
    const [y, dA, dB] = [program.read('y'), program.gradient(slots.A), program.gradient(slots.B)];

    let first = 0;
    for (const [g, { rows, rank, scaling }] of SLOTS.entries()) {
      const { A, B } = adapters[g]!;
      const ofA = dA.slice(g * RANK * K, g * RANK * K + rank * K);
      const ofB = dB.slice(g * N * RANK, g * N * RANK + N * rank);
      if (rows === 0) {
        expect([...ofA, ...ofB].every((value) => value === 0)).toBe(true);
        continue;
      }
      const alone = start();
      lossOf(alone.graph, loraLinear(alone.x, W, b, A, B, { scaling, dropout: p, tokenIndex: alone.tokenIndex }));
      using one = new Program(plan(alone.graph, { train: true }), { backend: 'cpu' });
      await one.accumulate(rowsOf(first, rows), { seed: 7n, zeroGradients: true, lossScale: lossScale(rows) });
      expect(y.slice(first * N, (first + rows) * N)).toEqual(one.read('y'));
      expect(ofA).toEqual(one.gradient(A));
      expect(ofB).toEqual(one.gradient(B));
      first += rows;
    }
    const base = start();
    lossOf(base.graph, linear(base.x, W, b));
    using none = new Program(plan(base.graph, { train: false }), { backend: 'cpu' });
    await none.forward(rowsOf(first, T - first));
    expect(y.slice(first * N)).toEqual(none.read('y'));
  });

  test.each([
    ['everything', /./],
    ['A alone', /^A/],
    ['B alone', /^B/],
    ['what lies below', /below/],
    ['W and its bias', /^[Wb]$/],
  ])('training %s gives on the CPU what the reference gives', async (_name, pattern) => {
    const { below, W, b, slots } = layer((name) => pattern.test(name));
    const graph = new Graph(true);
    lossOf(graph, segmentedLoraLinear(linear(graph.input('x', 'float', ['T', K]), below), W, b, slots));
    const planned = plan(graph, { train: true });
    using truth = new Program(planned, { backend: 'reference', compute: 'f64' });
    await truth.accumulate(rowsOf(0, T), { zeroGradients: true });
    const wanted = planned.trained.map((parameter) => [...truth.gradient(parameter)]);
    using program = new Program(planned, { backend: 'cpu' });
    await program.accumulate(rowsOf(0, T), { zeroGradients: true });
    expect(planned.trained.length).toBeGreaterThan(0);
    for (const [i, parameter] of planned.trained.entries()) {
      const largest = Math.max(...wanted[i]!.map(Math.abs));
      expect(largest).toBeGreaterThan(0);
      program.gradient(parameter).forEach((value, k) => {
        expect(Math.abs(value - wanted[i]![k]!)).toBeLessThanOrEqual(1e-5 * largest);
      });
    }
  });

  test('an activation and a residual are fused into it, and into its gradient', () => {
    const { below, W, b, slots } = layer((name) => /below|^[AB]/.test(name));
    const graph = new Graph(true);
    const x = linear(graph.input('x', 'float', ['T', K]), below);
    const h = activation(x, 'gelu');
    lossOf(graph, add(segmentedLoraLinear(h, W, b, slots), graph.input('r', 'float', ['T', N])));
    const text = describeOps(graph);
    expect(text).toContain('= segmentedLoraLinear(');
    expect(text).toMatch(/segmentedLoraLinearBackward\(.*\) \{activation: gelu\}/);
    expect(text).not.toMatch(/ (add|activation|activationBackward)\(/);
  });

  test('only the rows that are gathered are computed, with the ends of sequences', () => {
    const { below, W, b, slots } = layer();
    const graph = new Graph(false);
    const y = segmentedLoraLinear(linear(graph.input('x', 'float', ['T', K]), below), W, b, slots);
    const index = graph.input('firstToken', 'i32', ['S']);
    // Two readers of the same rows: they are gathered once.
    graph.outputs.set('a', activation(gatherRows(y, index), 'gelu'));
    graph.outputs.set('b', activation(gatherRows(y, index), 'tanh'));
    const { instructions: nodes } = plan(graph, { train: false });
    expect(nodes.filter(({ op }) => op === 'gatherRows')).toHaveLength(1);
    const node = nodes.find(({ op }) => op === 'segmentedLoraLinear');
    expect(node?.outputs[0]?.shape).toEqual(['S', N]);
    expect(node?.inputs[6]?.name).toBe('sequenceEnds');
  });

  test('ends that fall or leave the batch are refused by name', async () => {
    const { below, W, b, slots } = layer();
    const graph = new Graph(false);
    graph.outputs.set('y', segmentedLoraLinear(linear(graph.input('x', 'float', ['T', K]), below), W, b, slots));
    using program = new Program(plan(graph, { train: false }), { backend: 'cpu' });
    for (const ends of [
      [3, 2, 7],
      [3, 3, 10],
      [-1, 3, 7],
    ]) {
      const batch = rowsOf(0, T);
      batch.tensors['tokenEnds'] = Int32Array.from(ends);
      await expect(program.forward(batch)).rejects.toThrow(
        /'tokenEnds' must never fall and lie between 0 and the 9 rows/,
      );
    }
  });

  test('slots that do not fit are refused', () => {
    const { below, W, b, slots } = layer();
    const graph = new Graph(false);
    const x = linear(graph.input('x', 'float', ['T', K]), below);
    const other = { ...slots, A: new Parameter([5, K], new Float32Array(5 * K)) };
    expect(() => segmentedLoraLinear(x, W, b, other)).toThrow(
      /operand A .* has 5 rows, expected 12 for 3 slots of rank 4/,
    );
  });
});
