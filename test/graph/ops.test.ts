import * as fs from 'node:fs';
import * as path from 'node:path';
import {
  activation,
  add,
  attention,
  crossEntropy,
  dropout,
  embeddingSum,
  layerNorm,
  linear,
  loraLinear,
} from '../../src/graph/ops';
import { mostOf, type OpDefinition, operands } from '../../src/graph/ops/op';
import { opByName, ops } from '../../src/graph/ops/registry';
import { Parameter } from '../../src/graph/parameter';
import { Graph } from '../../src/graph/value';

/** The entries of the native table. */
function nativeOps(): string[] {
  const table = fs.readFileSync(path.resolve(__dirname, '../../native/ops/ops.def'), 'utf8');
  return [...table.matchAll(/^FL_OP\((\w+), /gm)].map(([, name]) => name as string);
}

const parameter = (...shape: number[]) =>
  new Parameter(shape, new Float32Array(shape.reduce((a, b) => a * b, 1)), { name: 'p' });

describe('op registry', () => {
  const names = nativeOps();

  test('has exactly the native ops', () => {
    const known = [...ops.keys()];
    expect({
      missingHere: names.filter((name) => !ops.has(name)),
      missingNative: known.filter((name) => !names.includes(name)),
    }).toEqual({
      missingHere: [],
      missingNative: [],
    });
    expect(names.length).toBeGreaterThan(20);
  });

  test.each(names)('%s has a shape rule, a gradient rule where one is due, FLOPs and bytes', (name) => {
    const op = opByName(name) as Partial<OpDefinition>;
    const lacks = (['infer', 'flops', 'bytes'] as const).filter((part) => typeof op[part] !== 'function');
    const differentiable = op.role === 'forward' || op.role === 'loss';
    expect({ op: name, lacks }).toEqual({ op: name, lacks: [] });
    expect({ op: name, gradient: typeof op.gradient }).toEqual({
      op: name,
      gradient: differentiable ? 'function' : 'undefined',
    });
  });

  test('operands, attributes and limits are those of the native header', () => {
    const { inputs, outputs, attributes, limits } = opByName('loraLinear');
    expect(inputs.map(({ name, optional }) => name + (optional ? '?' : ''))).toEqual(
      ['x', 'W', 'b?', 'A', 'B', 'residual?', 'tokenIndex?'], // native/ops/lora_linear.h
    );
    expect(outputs.map(({ name }) => name)).toEqual(['y', 'u', 'preActivation']);
    expect(attributes).toEqual(['scaling', 'activation', 'dropout', 'site', 'precision', 'baseWeights']);
    expect(limits).toEqual([
      { name: 'rank', low: 1, high: 256 },
      { name: 'dropout', low: 0, high: 1 },
    ]);
    expect(mostOf('loraLinear', 'rank')).toBe(256);
    expect(opByName('mse').attributes).toEqual([]);
    expect(opByName('embeddingSum').inputs.map(({ dims }) => dims[0])).toEqual(
      ['T', 'V0', 'T', 'V1', 'T', 'V2', 'T', 'V3'], // one to four tables
    );
  });

  test('signatures are read from the form of the contract headers', () => {
    expect(operands('W [R, K] packed forward, ids? [T] i32 < C or ignoreIndex, dW [N, K] acc')).toEqual([
      { name: 'W', dtype: 'float', dims: ['R', 'K'], optional: false, accumulated: false },
      { name: 'ids', dtype: 'i32', dims: ['T'], optional: true, accumulated: false },
      { name: 'dW', dtype: 'float', dims: ['N', 'K'], optional: false, accumulated: true },
    ]);
  });
});

describe('builders', () => {
  const graph = () => {
    const g = new Graph(true);
    return { g, x: g.input('x', 'float', ['T', 8]) };
  };

  test('infer shapes and print', () => {
    const { g, x } = graph();
    const y = g.scope('dense', () => activation(linear(x, parameter(3, 8), parameter(3)), 'gelu'));
    expect([y.shape, y.dtype, y.name]).toEqual([['T', 3], 'float', 'dense:y#2']);
    expect(g.toString().split('\n')[1]).toMatch(
      /^%\d+ float\[T,3\] = activation\(%\d+\) \{activation: gelu\} {2}# dense$/,
    );
  });

  test('a wrong shape names the module, the operand, its shape and the one expected', () => {
    const { g, x } = graph();
    expect(() => g.scope('encoder.dense', () => linear(x, parameter(3, 7)))).toThrow(
      'encoder.dense: linear: operand W (p) is float [3, 7], expected float [N, 8]',
    );
    expect(() => linear(x, parameter(3, 8), parameter(4))).toThrow(
      /operand b \(p\) is float \[4\], expected float \[3\]/,
    );
    expect(() => layerNorm(x, parameter(7), parameter(8), 1e-5)).toThrow(/operand gamma .* expected float \[8\]/);
    expect(() => attention(x, x, x, g.input('ids', 'i32', ['T']), { numHeads: 2 })).toThrow(
      /cuSeqlens .* expected i32 \[S\+1\]/,
    );
    expect(() => crossEntropy(x, g.input('labels', 'float', ['T']))).toThrow(
      /labels .* is float \[T\], expected i32 \[T\]/,
    );
  });

  test('what the signature does not say is checked too', () => {
    const { g, x } = graph();
    const cu = g.input('cuSeqlens', 'i32', ['S+1']);
    expect(() => attention(x, x, x, cu, { numHeads: 3 })).toThrow('hidden size 8 is not divisible by 3 heads');
    expect(() => dropout(x, 1)).toThrow('dropout 1 is not a probability in [0, 1)');
    expect(() =>
      loraLinear(x, parameter(3, 8), undefined, parameter(300, 8), parameter(3, 300), { scaling: 1 }),
    ).toThrow('rank 300 is not in 1..256');
    expect(() => activation(x, 'swish' as 'gelu')).toThrow("activation 'swish' is not known");
    expect(() => activation(x, 'toString' as 'gelu')).toThrow("activation 'toString' is not known");
    expect(() => crossEntropy(x, g.input('labels', 'i32', ['T']), { labelSmoothing: 1 })).toThrow(
      'labelSmoothing 1 is not in [0, 1)',
    );
    expect(() => embeddingSum()).toThrow('takes 1 to 4 terms, got 0');
    expect(() => add(x, graph().x)).toThrow('x belongs to another graph');
    expect(g.nodes).toHaveLength(0);
  });

  test('dropout is the identity in evaluation and at 0, and spends mask numbers only where it is active', () => {
    const evaluation = new Graph(false);
    const e = evaluation.input('x', 'float', ['T', 8]);
    expect(dropout(e, 0.5)).toBe(e);
    const { g, x } = graph();
    expect(dropout(x, 0)).toBe(x);
    loraLinear(x, parameter(3, 8), undefined, parameter(2, 8), parameter(3, 2), { scaling: 1 });
    dropout(x, 0.1);
    dropout(x, 0.1);
    expect(g.nodes.map((node) => node.attributes)).toEqual([
      { scaling: 1 },
      { dropout: 0.1, site: 0 },
      { dropout: 0.1, site: 1 },
    ]);
  });

  test('names of computed values are unique', () => {
    const { g, x } = graph();
    g.scope('m', () => add(add(x, x), x));
    expect(g.nodes.map((node) => node.outputs[0]?.name)).toEqual(['m:y', 'm:y#2']);
  });
});

describe('costs', () => {
  const sizes = { T: 10, S: 2, M: 0 };
  const cost = (build: (g: Graph) => void) => {
    const g = new Graph();
    build(g);
    return g.nodes.map((node) => {
      const op = opByName(node.op);
      return [op.flops(node, sizes), op.bytes(node, sizes)];
    });
  };

  test('a linear costs 2 T K N and reads and writes each operand once', () => {
    const [[flops, bytes] = []] = cost((g) => linear(g.input('x', 'float', ['T', 8]), parameter(3, 8), parameter(3)));
    expect(flops).toBe(2 * 10 * 8 * 3);
    expect(bytes).toBe(4 * (10 * 8 + 3 * 8 + 3 + 10 * 3));
  });

  test('LoRA adds 2 T r (K + N)', () => {
    const [[flops] = []] = cost((g) =>
      loraLinear(g.input('x', 'float', ['T', 8]), parameter(3, 8), undefined, parameter(2, 8), parameter(3, 2), {
        scaling: 1,
      }),
    );
    expect(flops).toBe(2 * 10 * 8 * 3 + 2 * 10 * 2 * (8 + 3));
  });

  test('attention costs two products of L x L x H a sequence', () => {
    const [[flops] = []] = cost((g) => {
      const x = g.input('x', 'float', ['T', 8]);
      attention(x, x, x, g.input('cuSeqlens', 'i32', ['S+1']), { numHeads: 2 });
    });
    expect(flops).toBe(2 * (2 * 2 * 5 * 5 * 8) + 6 * 2 * (2 * 5 * 5));
  });

  test('an embedding reads one row of each table a token', () => {
    const [[flops, bytes] = []] = cost((g) => {
      const ids = g.input('ids', 'i32', ['T']);
      embeddingSum({ ids, table: parameter(100, 8) }, { ids, table: parameter(50, 8) });
    });
    expect(flops).toBe(10 * 8);
    expect(bytes).toBe(4 * (2 * 10 + 3 * 10 * 8));
  });
});
