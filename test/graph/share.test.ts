/** Equal work is done once; what only looks equal is not. */
import { activation, add, dropout, linear } from '../../src/graph/ops';
import { rewrite } from '../../src/graph/rewrite';
import { shareNodes } from '../../src/graph/rewrite/share';
import { Graph, type Value } from '../../src/graph/value';
import { Parameters } from './fixtures';

const parameters = new Parameters(() => true);
const [V, W] = [parameters.make('V', [4, 4]), parameters.make('W', [4, 4])];

function opsAfter(build: (x: Value) => Value, training = false): string[] {
  const graph = new Graph(training);
  graph.outputs.set('y', build(graph.input('x', 'float', ['T', 4])));
  return rewrite(graph, [shareNodes]).nodes.map(({ op }) => op);
}

describe('the same work', () => {
  test('is done once, and what follows from it too', () => {
    const pooled = (x: Value) => activation(linear(x, V), 'tanh');
    expect(opsAfter((x) => add(linear(pooled(x), W), linear(pooled(x), V)))).toEqual([
      'linear',
      'activation',
      'linear',
      'linear',
      'add',
    ]);
  });

  test('with other weights, attributes or masks is other work', () => {
    const twice = (f: (x: Value, i: number) => Value) => opsAfter((x) => add(f(x, 0), f(x, 1)), true);
    expect(twice((x, i) => linear(x, i === 0 ? V : W))).toEqual(['linear', 'linear', 'add']);
    expect(twice((x, i) => activation(x, i === 0 ? 'gelu' : 'tanh'))).toEqual(['activation', 'activation', 'add']);
    expect(twice((x) => dropout(x, 0.5))).toEqual(['dropout', 'dropout', 'add']);
    expect(twice((x) => dropout(x, 0))).toEqual(['add']);
  });

  test('whose result is read by name stays', () => {
    const graph = new Graph(false);
    const x = graph.input('x', 'float', ['T', 4]);
    for (const name of ['a', 'b']) graph.outputs.set(name, linear(x, V));
    expect(rewrite(graph, [shareNodes]).nodes).toHaveLength(2);
  });
});
