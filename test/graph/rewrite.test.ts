import { activation, add, dropout, layerNorm, linear, loraLinear } from '../../src/graph/ops';
import { FUSED_PASSES, rewrite, SEPARATE_PASSES } from '../../src/graph/rewrite';
import { copyGraph } from '../../src/graph/rewrite/edit';
import { Graph, type Value } from '../../src/graph/value';
import { encoder, opsOf, Parameters } from './fixtures';

/** A graph of [T, 4] values with one output; `build` gets two inputs and a maker of parameters. */
function traced(
  build: (x: Value, r: Value, make: (name: string, ...shape: number[]) => ReturnType<Parameters['make']>) => Value,
): Graph {
  const graph = new Graph(true);
  const parameters = new Parameters(() => true);
  const x = graph.input('x', 'float', ['T', 4]);
  const r = graph.input('r', 'float', ['T', 4]);
  graph.outputs.set(
    'y',
    build(x, r, (name, ...shape) => parameters.make(name, shape)),
  );
  return graph;
}

/** The rewritten graph's lines, values numbered anew by their first occurrence. */
function lines(graph: Graph, passes = FUSED_PASSES): string[] {
  const numbers = new Map<string, number>();
  const text = rewrite(graph, passes)
    .toString()
    .replace(/%\d+/g, (id) => {
      if (!numbers.has(id)) numbers.set(id, numbers.size);
      return `%${numbers.get(id)}`;
    });
  return text.split('\n');
}

describe('a copy', () => {
  test('has the same nodes on its own values', () => {
    const { graph } = encoder({ dropout: 0.1 });
    const before = graph.toString();
    const copy = copyGraph(graph);
    expect(opsOf(copy.nodes)).toEqual(opsOf(graph.nodes));
    expect(copy.nodes.map((node) => node.outputs[0]?.name)).toEqual(graph.nodes.map((node) => node.outputs[0]?.name));
    expect([...copy.outputs.keys()]).toEqual(['logits', 'loss']);
    expect(copy.values.some((value) => graph.values.includes(value))).toBe(false);
    rewrite(graph, FUSED_PASSES);
    rewrite(graph, SEPARATE_PASSES);
    expect(graph.toString()).toBe(before);
  });
});

describe('activation into the product before it', () => {
  test('linear', () => {
    const graph = traced((x, _r, make) => activation(linear(x, make('W', 4, 4), make('b', 4)), 'gelu'));
    expect(lines(graph)).toEqual(['%0 float[T,4] = linear(x, W, b) {activation: gelu}']);
  });

  test('loraLinear', () => {
    const graph = traced((x, _r, make) =>
      activation(loraLinear(x, make('W', 4, 4), undefined, make('A', 2, 4), make('B', 4, 2), { scaling: 2 }), 'tanh'),
    );
    expect(lines(graph)).toEqual([
      '%0 float[T,4], %1 float[T,2] = loraLinear(x, W, -, A, B, -, -) {scaling: 2, activation: tanh}',
    ]);
  });

  test('not where the pre-activation has another reader, is an output, or has an activation already', () => {
    const twice = traced((x, _r, make) => {
      const z = linear(x, make('W', 4, 4));
      return layerNorm(add(activation(z, 'relu'), z), make('g', 4), make('h', 4), 1e-5);
    });
    expect(opsOf(rewrite(twice, FUSED_PASSES).nodes)).toEqual(['linear', 'activation', 'addLayerNorm']);
    const output = traced((x, _r, make) => {
      const z = linear(x, make('W', 4, 4));
      z.graph.outputs.set('z', z);
      return activation(z, 'relu');
    });
    expect(opsOf(rewrite(output, FUSED_PASSES).nodes)).toEqual(['linear', 'activation']);
    const two = traced((x, _r, make) => activation(activation(linear(x, make('W', 4, 4)), 'relu'), 'tanh'));
    expect(lines(two)).toEqual([
      '%0 float[T,4] = linear(x, W, -) {activation: relu}',
      '%1 float[T,4] = activation(%0) {activation: tanh}',
    ]);
  });
});

describe('residual, dropout and LayerNorm into one op', () => {
  const build = (sum: (dropped: Value, r: Value) => Value, p: number) =>
    traced((x, r, make) => layerNorm(sum(dropout(x, p), r), make('g', 4), make('h', 4), 1e-5));

  test('in either order of the sum', () => {
    const expected = ['%0 float[T,4] = addLayerNorm(x, r, g, h, -) {eps: 0.00001, dropout: 0.5, site: 0}'];
    expect(lines(build((dropped, r) => add(dropped, r), 0.5))).toEqual(expected);
    expect(lines(build((dropped, r) => add(r, dropped), 0.5))).toEqual(expected);
  });

  test('without dropout', () => {
    expect(lines(build((x, r) => add(x, r), 0))).toEqual([
      '%0 float[T,4] = addLayerNorm(x, r, g, h, -) {eps: 0.00001}',
    ]);
  });

  test('the token index goes with the mask', () => {
    const graph = traced((x, r, make) => {
      const index = x.graph.input('tokenIndex', 'i32', ['T']);
      return layerNorm(add(r, dropout(x, 0.5, index)), make('g', 4), make('h', 4), 1e-5);
    });
    expect(lines(graph)[0]).toContain('addLayerNorm(x, r, g, h, tokenIndex)');
  });

  test('not where the sum has another reader; a dropped value with two readers keeps its own dropout', () => {
    const sumTwice = traced((x, r, make) => {
      const sum = add(dropout(x, 0.5), r);
      return add(layerNorm(sum, make('g', 4), make('h', 4), 1e-5), sum);
    });
    expect(opsOf(rewrite(sumTwice, FUSED_PASSES).nodes)).toEqual(['dropout', 'add', 'layerNorm', 'add']);
    const droppedTwice = traced((x, _r, make) => {
      const dropped = dropout(x, 0.5);
      return layerNorm(add(dropped, dropped), make('g', 4), make('h', 4), 1e-5);
    });
    expect(lines(droppedTwice)).toEqual([
      '%0 float[T,4] = dropout(x, -) {dropout: 0.5, site: 0}',
      '%1 float[T,4] = addLayerNorm(%0, %0, g, h, -) {eps: 0.00001}',
    ]);
  });
});

describe('residual into the product before it', () => {
  test('in either order, behind an activation too', () => {
    const expected = ['%0 float[T,4] = linear(x, W, -, r) {activation: relu}'];
    expect(lines(traced((x, r, make) => add(activation(linear(x, make('W', 4, 4)), 'relu'), r)))).toEqual(expected);
    expect(lines(traced((x, r, make) => add(r, activation(linear(x, make('W', 4, 4)), 'relu'))))).toEqual(expected);
  });

  test('loraLinear', () => {
    const graph = traced((x, r, make) =>
      add(loraLinear(x, make('W', 4, 4), undefined, make('A', 2, 4), make('B', 4, 2), { scaling: 2 }), r),
    );
    expect(lines(graph)[0]).toContain('loraLinear(x, W, -, A, B, r, -) {scaling: 2}');
  });

  test('a sum of three: the product takes one addend, a second product the other', () => {
    const graph = traced((x, r, make) => add(add(linear(x, make('W', 4, 4)), r), linear(r, make('V', 4, 4))));
    expect(lines(graph)).toEqual(['%0 float[T,4] = linear(x, W, -, r)', '%1 float[T,4] = linear(r, V, -, %0)']);
  });

  test('a LayerNorm has the first claim; a sum read twice (pre-LayerNorm models) goes to the product', () => {
    const post = traced((x, r, make) =>
      layerNorm(add(linear(x, make('W', 4, 4)), r), make('g', 4), make('h', 4), 1e-5),
    );
    expect(opsOf(rewrite(post, FUSED_PASSES).nodes)).toEqual(['linear', 'addLayerNorm']);
    const pre = traced((x, r, make) => {
      const sum = add(linear(x, make('W', 4, 4)), r);
      return add(layerNorm(sum, make('g', 4), make('h', 4), 1e-5), sum);
    });
    expect(opsOf(rewrite(pre, FUSED_PASSES).nodes)).toEqual(['linear', 'layerNorm', 'add']);
  });

  test('a product whose result is read twice keeps it', () => {
    const graph = traced((x, _r, make) => {
      const y = linear(x, make('W', 4, 4));
      return add(y, y);
    });
    expect(opsOf(rewrite(graph, FUSED_PASSES).nodes)).toEqual(['linear', 'add']);
  });
});

describe('an encoder layer', () => {
  const layer = [
    'loraLinear',
    'loraLinear',
    'loraLinear',
    'attention',
    'loraLinear',
    'addLayerNorm',
    'loraLinear',
    'loraLinear',
    'addLayerNorm',
  ];

  test.each([
    [0, false],
    [0.1, false],
    [0.1, true],
  ])('fused: nine ops (dropout %d, residual first: %s)', (dropout, residualFirst) => {
    const { graph } = encoder({ dropout, residualFirst });
    expect(opsOf(rewrite(graph, FUSED_PASSES).nodes)).toEqual([
      'embeddingSum',
      'layerNorm',
      ...layer,
      'gatherRows',
      'linear',
      'crossEntropy',
    ]);
  });

  test('separate: every LoRA layer is six calls (five without dropout), nothing is fused', () => {
    const lora = ['linear', 'dropout', 'linear', 'scale', 'linear', 'add'];
    const end = ['dropout', 'add', 'layerNorm'];
    expect(opsOf(rewrite(encoder({ dropout: 0.1 }).graph, SEPARATE_PASSES).nodes)).toEqual(
      [
        'embeddingSum',
        'layerNorm',
        lora,
        lora,
        lora,
        'attention',
        lora,
        end,
        lora,
        'activation',
        lora,
        end,
        'gatherRows',
        'linear',
        'crossEntropy',
      ].flat(),
    );
    const plain = rewrite(encoder().graph, SEPARATE_PASSES);
    expect(plain.nodes.filter((node) => node.op === 'dropout')).toEqual([]);
  });

  test('separate: the calls of one layer', () => {
    const graph = traced((x, _r, make) =>
      loraLinear(x, make('W', 3, 4), make('b', 3), make('A', 2, 4), make('B', 3, 2), { scaling: 4, dropout: 0.5 }),
    );
    expect(lines(graph, SEPARATE_PASSES)).toEqual([
      '%0 float[T,3] = linear(x, W, b)',
      '%1 float[T,4] = dropout(x, -) {dropout: 0.5, site: 0}',
      '%2 float[T,2] = linear(%1, A)',
      '%3 float[T,2] = scale(%2) {factor: 4}',
      '%4 float[T,3] = linear(%3, B)',
      '%5 float[T,3] = add(%0, %4)',
    ]);
  });
});
