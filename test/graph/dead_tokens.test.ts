/**
 * Dead-token elimination: the nodes it makes, and that losses and gradients stay what they were.
 */
import { add, attention, gatherRows, layerNorm, linear } from '../../src/graph/ops';
import { plan } from '../../src/graph/plan';
import { type BatchTensors, Program } from '../../src/graph/program';
import { DEAD_TOKEN_PASSES, FUSED_PASSES, rewrite } from '../../src/graph/rewrite';
import { Graph, type Value } from '../../src/graph/value';
import { describeWithAddon, encoder, opsOf, Parameters } from './fixtures';

/** Row counts of the results, by path. */
function rowsOf(graph: Graph): string[] {
  return graph.nodes.map((node) => `${node.op} ${node.path}: ${node.outputs[0]?.shape[0]}`);
}

describe('dead-token elimination', () => {
  test('the last layer works for the classified token alone but for its keys and values', () => {
    const narrow = rewrite(encoder({ layers: 2, dropout: 0.1 }).graph, DEAD_TOKEN_PASSES);
    const rows = rowsOf(narrow);
    const last = rows.slice(rows.findIndex((line) => line.includes('layer.1')));
    expect(last.filter((line) => line.endsWith(': T'))).toEqual([
      'loraLinear layer.1.key: T',
      'loraLinear layer.1.value: T',
    ]);
    expect(last.filter((line) => line.startsWith('gatherRows'))).toEqual(['gatherRows layer.1.query: S']);
    expect(rows.slice(0, rows.indexOf(last[0] as string)).every((line) => line.endsWith(': T'))).toBe(true);
    // The same masks as before: every dropout there is told which tokens its rows are.
    const firstToken = narrow.inputs.get('firstToken');
    for (const node of narrow.nodes.filter(
      (n) => n.attributes['site'] !== undefined && n.outputs[0]?.shape[0] === 'S',
    )) {
      expect([node.path, node.inputs.includes(firstToken)]).toEqual([node.path, true]);
    }
  });

  test('fuses afterwards as before', () => {
    const { graph } = encoder({ layers: 1, dropout: 0.1 });
    const ops = opsOf(rewrite(graph, [...DEAD_TOKEN_PASSES, ...FUSED_PASSES]).nodes).filter(
      (op) => op !== 'gatherRows',
    );
    expect(ops).toEqual(opsOf(rewrite(graph, FUSED_PASSES).nodes).filter((op) => op !== 'gatherRows'));
  });

  test('stops at what somebody else reads, and leaves other gathers alone', () => {
    const build = (finish: (y: Value, index: Value) => void) => {
      const graph = new Graph(false);
      const make = (name: string, ...shape: number[]) => new Parameters(() => true).make(name, shape);
      const x = graph.input('x', 'float', ['T', 4]);
      finish(
        layerNorm(linear(x, make('W', 4, 4)), make('g', 4), make('b', 4), 1e-5),
        graph.input('rows', 'i32', ['M']),
      );
      return rowsOf(rewrite(graph, DEAD_TOKEN_PASSES)).map((line) => line.replace(' :', ''));
    };
    expect(build((y, rows) => y.graph.outputs.set('y', gatherRows(y, rows)))).toEqual([
      'gatherRows M',
      'linear M',
      'layerNorm M',
    ]);
    const whole = ['linear T', 'layerNorm T', 'gatherRows M'];
    expect(
      build((y, rows) => {
        y.graph.outputs.set('y', gatherRows(y, rows));
        y.graph.outputs.set('all', y);
      }),
    ).toEqual(whole);
    // The same rows twice are the same rows; other rows are others.
    expect(build((y, rows) => y.graph.outputs.set('y', add(gatherRows(y, rows), gatherRows(y, rows))))).toEqual([
      'gatherRows M',
      'linear M',
      'layerNorm M',
      'add M',
    ]);
    const other = (y: Value) => y.graph.input('others', 'i32', ['M']);
    expect(build((y, rows) => y.graph.outputs.set('y', add(gatherRows(y, rows), gatherRows(y, other(y)))))).toEqual([
      ...whole.slice(0, 2),
      'gatherRows M',
      'gatherRows M',
      'add M',
    ]);
    expect(build((y) => y.graph.outputs.set('y', gatherRows(y, y.graph.input('all', 'i32', ['T']))))).toEqual([
      'linear T',
      'layerNorm T',
      'gatherRows T',
    ]);
  });

  test('an attention whose keys are its queries keeps them all', () => {
    const graph = new Graph(false);
    const x = graph.input('x', 'float', ['T', 4]);
    const y = attention(x, x, x, graph.input('cuSeqlens', 'i32', ['S+1']), { numHeads: 2 });
    graph.outputs.set('y', gatherRows(y, graph.input('rows', 'i32', ['M'])));
    expect(rowsOf(rewrite(graph, DEAD_TOKEN_PASSES))).toEqual(['gatherRows : M', 'attention : M']);
    expect(graph.nodes.map((node) => node.op)).toEqual(['attention', 'gatherRows']);
  });

  test('queries of another number than keys need their rows', () => {
    const graph = new Graph(false);
    const q = graph.input('q', 'float', ['M', 4]);
    const k = graph.input('k', 'float', ['T', 4]);
    const cu = graph.input('cuSeqlens', 'i32', ['S+1']);
    expect(() => attention(q, k, k, cu, { numHeads: 2 })).toThrow(
      'attention: q (q) has M rows and k (k) T; say by queryRows which token each query is',
    );
    expect(attention(q, k, k, cu, { numHeads: 2, queryRows: graph.input('rows', 'i32', ['M']) }).shape).toEqual([
      'M',
      4,
    ]);
  });
});

const batch: BatchTensors = {
  sizes: { T: 9, S: 3, M: 0 },
  tensors: {
    tokenIds: Int32Array.of(0, 4, 1, 0, 7, 0, 3, 10, 4),
    positionIds: Int32Array.of(0, 1, 2, 0, 1, 0, 1, 2, 3),
    cuSeqlens: Int32Array.of(0, 3, 5, 9),
    firstToken: Int32Array.of(0, 3, 5),
    labels: Int32Array.of(1, 0, 1),
  },
};

describeWithAddon('narrowed programs', () => {
  test.each([0, 0.3])('give the loss and gradients of whole ones, dropout %p', async (dropout) => {
    const { graph } = encoder({ layers: 2, dropout, trainable: () => true });
    // keepAll plans without narrowing.
    const run = async (keepAll: boolean) => {
      const planned = plan(graph, { train: true, keepAll });
      expect(planned.instructions.some((node) => node.op === 'attention' && node.inputs[4] !== undefined)).toBe(
        !keepAll,
      );
      using program = new Program(planned, { backend: 'reference', compute: 'f64' });
      await program.accumulate(batch, { seed: 7n, forwardNumber: 3, zeroGradients: true });
      const gradients = planned.trained.map((p): [string, number[]] => [p.name, [...program.gradient(p)]]);
      return { loss: program.scalar('loss'), gradients: new Map(gradients) };
    };
    const [narrow, whole] = [await run(false), await run(true)];
    expect(narrow.loss).toBeCloseTo(whole.loss, 12);
    expect(narrow.gradients.size).toBe(whole.gradients.size);
    for (const [name, values] of whole.gradients) {
      const error = Math.max(
        ...values.map((value, i) => Math.abs(value - (narrow.gradients.get(name)?.[i] ?? Number.NaN))),
      );
      expect([name, error < 1e-12]).toEqual([name, true]);
    }
  });

  test('a row that is no token of the batch is refused before the step', async () => {
    const { graph } = encoder({ layers: 1 });
    using program = new Program(plan(graph, { train: false }), { backend: 'cpu', compute: 'f32' });
    const tensors = { ...batch.tensors, firstToken: Int32Array.of(0, 3, 9) };
    await expect(program.forward({ ...batch, tensors }, { seed: 1n, forwardNumber: 0 })).rejects.toThrow(
      /firstToken.*9/,
    );
  });
});
