import { activation, add, linear, loraLinear, mse } from '../../src/graph/ops';
import { plan } from '../../src/graph/plan';
import { describeNode, Graph, type Value } from '../../src/graph/value';
import { count, encoder, Parameters } from './fixtures';

type Make = (name: string) => ReturnType<Parameters['make']>;

/** The backward instructions of a [T, 4] graph, values by name. */
function backward(build: (x: Value, make: Make) => Value, options = {}): string[] {
  const graph = new Graph(true);
  const parameters = new Parameters(() => true);
  const y = build(graph.input('x', 'float', ['T', 4]), (name) => parameters.make(name, [4, 4]));
  graph.outputs.set('loss', mse(y, graph.input('target', 'float', y.shape)));
  const { instructions, values } = plan(graph, { train: true, ...options });
  const names = new Map(values.map((value) => [`%${value.id}`, value.name]));
  return instructions
    .filter(
      (node) => node.phase === 'backward' && /BackwardInput|loraLinearBackward|activationBackward|add/.test(node.op),
    )
    .map((node) =>
      describeNode(node)
        .replace(/%\d+/g, (id) => names.get(id) as string)
        .replace(/ float\[[^\]]*\]/g, ''),
    );
}

test('the derivative of the activation before a product', () => {
  const build = (x: Value, make: Make) => linear(activation(linear(x, make('V')), 'gelu'), make('W'));
  expect(backward(build)).toEqual([
    'activationBackward:dx = linearBackwardInput(linear:y#2:gradient, W, linear:preActivation) {activation: gelu}',
  ]);
  expect(backward(build, { fused: false })).toHaveLength(2);
});

test('a sum with the gradient of a residual', () => {
  const build = (x: Value, make: Make) => {
    const h = linear(x, make('V'));
    return add(linear(h, make('W')), h);
  };
  expect(backward(build)).toEqual(['add:gradient = linearBackwardInput(add:y:gradient, W, -, add:y:gradient)']);
});

test('of several products of one value each takes what those before it brought', () => {
  const build = (x: Value, make: Make) => {
    const h = linear(x, make('V'));
    const lora = loraLinear(h, make('Q'), undefined, make('A'), make('B'), { scaling: 2 });
    return add(add(lora, linear(h, make('K'))), linear(h, make('U')));
  };
  const lines = backward(build);
  expect(lines).toHaveLength(3);
  expect(lines.filter((line) => /= add\(/.test(line))).toEqual([]);
  expect(lines[0]).not.toContain('-, ');
  expect(lines.slice(1).every((line) => /gradient\)( \{|$)/.test(line))).toBe(true);
});

test('not where another reader wants the gradient before its activation', () => {
  const build = (x: Value, make: Make) => {
    const h = activation(linear(x, make('V')), 'tanh');
    return add(linear(h, make('W')), linear(h, make('U')));
  };
  // The sum of both products goes through tanh'; it is fused, the derivative is not.
  expect(backward(build).map((line) => line.replace(/.* = (\w+)\(.*/, '$1'))).toEqual([
    'linearBackwardInput',
    'linearBackwardInput',
    'activationBackward',
  ]);
});

test('an encoder has no derivative of its own, and no sum but that with the rows gathered for its head', () => {
  const { graph } = encoder({ layers: 2, dropout: 0.1 });
  const backwardOps = (options = {}) =>
    plan(graph, { train: true, ...options }).instructions.filter(({ phase }) => phase === 'backward');
  expect(count(backwardOps(), 'activationBackward')).toBe(0);
  const sums = backwardOps().filter(({ op }) => op === 'add');
  expect(sums).toHaveLength(1);
  expect(sums[0]?.inputs.map((value) => value?.producer?.op)).toContain('gatherRowsBackward');
  expect(count(backwardOps({ fused: false }), 'add')).toBeGreaterThan(10);
  expect(count(backwardOps({ fused: false }), 'activationBackward')).toBeGreaterThan(0);
});
