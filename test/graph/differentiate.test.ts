import { differentiate } from '../../src/graph/differentiate';
import {
  activation,
  add,
  crossEntropy,
  dropout,
  embeddingSum,
  layerNorm,
  linear,
  loraLinear,
  mse,
  scale,
} from '../../src/graph/ops';
import { opByName } from '../../src/graph/ops/registry';
import type { Parameter } from '../../src/graph/parameter';
import { FUSED_PASSES, rewrite } from '../../src/graph/rewrite';
import { describeNode, Graph, type Value } from '../../src/graph/value';
import { count, type EncoderOptions, encoder, opsOf, Parameters } from './fixtures';

type Make = (name: string, ...shape: number[]) => Parameter;

/** The backward lines of mse(build(x), target), values by name. */
function backward(
  trainable: (name: string) => boolean,
  build: (x: Value, make: Make) => Value,
  fused = true,
): string[] {
  const graph = new Graph(true);
  const parameters = new Parameters(trainable);
  const y = build(graph.input('x', 'float', ['T', 4]), (name, ...shape) => parameters.make(name, shape));
  graph.outputs.set('loss', mse(y, graph.input('target', 'float', y.shape)));
  const copy = rewrite(graph, fused ? FUSED_PASSES : []);
  differentiate(copy);
  const names = new Map(copy.values.map((value) => [`%${value.id}`, value.name]));
  return copy.nodes
    .filter((node) => node.phase === 'backward')
    .map((node) =>
      describeNode(node)
        .replace(/%\d+/g, (id) => names.get(id) as string)
        .replace(/ float\[[^\]]*\]/g, ''),
    );
}

const all = () => true;

describe('the rule of each op', () => {
  test('linear: weight, bias and input, each only where it is needed', () => {
    const build = (x: Value, make: Make) =>
      linear(activation(linear(x, make('V', 4, 4)), 'relu'), make('W', 3, 4), make('b', 3));
    expect(backward((name) => name === 'W' || name === 'b', build)).toEqual([
      'linear:y#2:gradient = mseBackward(linear:y#2, target)',
      'grad(W) = linearBackwardWeight(linear:y#2:gradient, activation:y)',
      'grad(b) = biasBackward(linear:y#2:gradient)',
    ]);
    expect(backward((name) => name === 'V', build)).toEqual([
      'linear:y#2:gradient = mseBackward(linear:y#2, target)',
      'activation:y:gradient = linearBackwardInput(linear:y#2:gradient, W)',
      'activationBackward:dx = activationBackward(activation:y:gradient, linear:preActivation) {activation: relu}',
      'grad(V) = linearBackwardWeight(activationBackward:dx, x)',
    ]);
  });

  test('a residual passes the gradient through; only the sum of its readers goes on', () => {
    const build = (x: Value, make: Make) => {
      const h = linear(x, make('V', 4, 4));
      return add(activation(linear(h, make('W', 4, 4)), 'tanh'), h);
    };
    expect(backward(all, build)).toEqual([
      'add:y:gradient = mseBackward(add:y, target)',
      'activationBackward:dx = activationBackward(add:y:gradient, linear:preActivation) {activation: tanh}',
      'grad(W) = linearBackwardWeight(activationBackward:dx, linear:y)',
      'linear:y:gradient = linearBackwardInput(activationBackward:dx, W)',
      'add:gradient = add(add:y:gradient, linear:y:gradient)',
      'grad(V) = linearBackwardWeight(add:gradient, x)',
    ]);
  });

  test('a frozen product under a residual: no backward for it at all', () => {
    const build = (x: Value, make: Make) => add(linear(x, make('frozen', 4, 4)), linear(x, make('W', 4, 4)));
    expect(backward((name) => name === 'W', build)).toEqual([
      'add:y:gradient = mseBackward(add:y, target)',
      'grad(W) = linearBackwardWeight(add:y:gradient, x)',
    ]);
  });

  const lora = (x: Value, make: Make) =>
    loraLinear(linear(x, make('V', 4, 4)), make('W', 3, 4), make('b', 3), make('A', 2, 4), make('B', 3, 2), {
      scaling: 2,
      dropout: 0.5,
    });
  const dz = 'loraLinear:y:gradient = mseBackward(loraLinear:y, target)';

  test('loraLinear, W frozen and nothing below: no dx, W is not read', () => {
    expect(backward((name) => 'AB'.includes(name), lora)).toEqual([
      dz,
      'grad(A), grad(B) = loraLinearBackward(loraLinear:y:gradient, linear:y, loraLinear:u, -, A, B, -) {scaling: 2, dropout: 0.5, site: 0}',
    ]);
  });

  test('loraLinear with something trained below', () => {
    expect(backward((name) => 'ABV'.includes(name), lora)).toEqual([
      dz,
      'linear:y:gradient, grad(A), grad(B) = loraLinearBackward(loraLinear:y:gradient, linear:y, loraLinear:u, W, A, B, -) {scaling: 2, dropout: 0.5, site: 0}',
      'grad(V) = linearBackwardWeight(linear:y:gradient, x)',
    ]);
  });

  test('loraLinear with its W and bias trained too', () => {
    expect(backward(all, lora).slice(1, 4)).toEqual([
      'grad(W) = linearBackwardWeight(loraLinear:y:gradient, linear:y)',
      'grad(b) = biasBackward(loraLinear:y:gradient)',
      'linear:y:gradient, grad(A), grad(B) = loraLinearBackward(loraLinear:y:gradient, linear:y, loraLinear:u, W, A, B, -) {scaling: 2, dropout: 0.5, site: 0}',
    ]);
  });

  test('loraLinear with A frozen, or the whole adapter: only what is left', () => {
    expect(backward((name) => name === 'B', lora)).toEqual([
      dz,
      'grad(B) = linearBackwardWeight(loraLinear:y:gradient, loraLinear:u)',
    ]);
    expect(backward((name) => name === 'A', lora)).toEqual([
      dz,
      'linearBackwardInput:dx = linearBackwardInput(loraLinear:y:gradient, B)',
      'scale:y = scale(linearBackwardInput:dx) {factor: 2}',
      'dropout:y = dropout(linear:y, -) {dropout: 0.5, site: 0}',
      'grad(A) = linearBackwardWeight(scale:y, dropout:y)',
    ]);
    expect(backward((name) => name === 'V', lora)).toEqual([
      dz,
      'linearBackwardInput:dx = linearBackwardInput(loraLinear:y:gradient, B)',
      'scale:y = scale(linearBackwardInput:dx) {factor: 2}',
      'linearBackwardInput:dx#2 = linearBackwardInput(scale:y, A)',
      'linear:y:gradient = dropout(linearBackwardInput:dx#2, -) {dropout: 0.5, site: 0}',
      'linear:y:gradient#2 = linearBackwardInput(loraLinear:y:gradient, W)',
      'add:gradient = add(linear:y:gradient, linear:y:gradient#2)',
      'grad(V) = linearBackwardWeight(add:gradient, x)',
    ]);
  });

  test('addLayerNorm: one gradient for both without dropout, two with; frozen gamma and beta get none', () => {
    const build = (p: number) => (x: Value, make: Make) => {
      const h = linear(x, make('V', 4, 4));
      return layerNorm(add(dropout(linear(h, make('W', 4, 4)), p), h), make('gamma', 4), make('beta', 4), 1e-5);
    };
    const frozenNorm = (name: string) => name.length === 1;
    expect(backward(frozenNorm, build(0))[1]).toBe(
      'linear:y#2:gradient = addLayerNormBackward(layerNorm:y:gradient, addLayerNorm:z, gamma, addLayerNorm:stats, -)',
    );
    expect(backward(all, build(0.5))[1]).toBe(
      'linear:y#2:gradient, linear:y:gradient, grad(gamma), grad(beta) = addLayerNormBackward(layerNorm:y:gradient, addLayerNorm:z, gamma, addLayerNorm:stats, -) {dropout: 0.5, site: 0}',
    );
  });

  test('dropout keeps its mask and token index, scale its factor', () => {
    const build = (x: Value, make: Make) => {
      const h = linear(x, make('W', 4, 4));
      return scale(dropout(h, 0.25, h.graph.input('tokenIndex', 'i32', ['T'])), 3);
    };
    expect(backward(all, build).slice(1, 3)).toEqual([
      'dropout:y:gradient = scale(scale:y:gradient) {factor: 3}',
      'linear:y:gradient = dropout(dropout:y:gradient, tokenIndex) {dropout: 0.25, site: 0}',
    ]);
  });

  test('embeddingSum: trained tables alone, each with its padding index', () => {
    const graph = new Graph(true);
    const parameters = new Parameters((name) => name !== 'frozen');
    const ids = graph.input('ids', 'i32', ['T']);
    const y = embeddingSum(
      { ids, table: parameters.make('words', [9, 4]), paddingIndex: 1 },
      { ids, table: parameters.make('frozen', [9, 4]) },
      { ids, table: parameters.make('places', [9, 4]) },
    );
    graph.outputs.set('loss', crossEntropy(y, graph.input('labels', 'i32', ['T'])));
    differentiate(graph);
    const nodes = graph.nodes.filter((node) => node.op === 'embeddingBackward');
    expect(nodes.map((node) => [node.outputs[0]?.parameter?.name, node.attributes])).toEqual([
      ['words', { paddingIndex: 1 }],
      ['places', {}],
    ]);
  });
});

describe('an encoder', () => {
  const differentiated = (options: EncoderOptions) => {
    const { graph, parameters } = encoder(options);
    const copy = rewrite(graph, FUSED_PASSES);
    differentiate(copy);
    return { parameters, copy, nodes: copy.nodes.filter((node) => node.phase === 'backward') };
  };

  test('LoRA on the top layer only: no backward below it, and no dx of its q, k, v', () => {
    const { nodes } = differentiated({ layers: 3, lora: (path) => path.startsWith('layer.2') });
    const lower = nodes.filter((node) => /layer\.[01]|embeddings/.test(node.path));
    expect(lower).toEqual([]);
    const qkv = nodes.filter((node) => /layer\.2\.(query|key|value)/.test(node.path));
    expect(opsOf(qkv)).toEqual(['loraLinearBackward', 'loraLinearBackward', 'loraLinearBackward']);
    for (const node of qkv) expect([node.outputs[0], node.inputs[3]]).toEqual([undefined, undefined]);
  });

  test('frozen weights get no weight gradient; only the head has one', () => {
    const { nodes, copy } = differentiated({ layers: 2 });
    expect(nodes.filter((node) => node.op === 'linearBackwardWeight').map((node) => node.path)).toEqual(['classifier']);
    expect(count(nodes, 'biasBackward')).toBe(1);
    expect(count(nodes, 'embeddingBackward')).toBe(0);
    expect(copy.trained.every((parameter) => parameter.requiresGrad)).toBe(true);
    // Two layers of six adapters of A and B, and the head's weight and bias.
    expect(copy.trained).toHaveLength(2 * 6 * 2 + 2);
  });

  test('the head alone: two gradients, and nothing is kept in the layers', () => {
    const { nodes, copy } = differentiated({ layers: 2, trainable: (name) => name.startsWith('classifier') });
    expect(opsOf(nodes)).toEqual(['crossEntropyBackward', 'linearBackwardWeight', 'biasBackward']);
    const optional = copy.nodes.flatMap((node) =>
      node.outputs.filter((value, i) => value && opByName(node.op).outputs[i]?.optional),
    );
    expect(optional.filter((value) => value?.kind === 'computed')).toEqual([]);
  });

  test('everything: each parameter has one gradient', () => {
    const { copy, parameters } = differentiated({ layers: 1, trainable: () => true });
    expect(new Set(copy.trained)).toEqual(new Set(parameters.all.values()));
    const gradients = copy.nodes.flatMap((node) => node.outputs.filter((value) => value?.kind === 'gradient'));
    expect(gradients).toHaveLength(copy.trained.length);
  });

  test('optional outputs exist only where a backward op reads them', () => {
    const { copy } = differentiated({ layers: 2, dropout: 0.1, lora: (path) => path.startsWith('layer.1') });
    const read = new Set(copy.nodes.flatMap((node) => node.inputs));
    for (const node of copy.nodes) {
      node.outputs.forEach((value, i) => {
        if (value?.kind === 'computed' && opByName(node.op).outputs[i]?.optional)
          expect([value.name, read.has(value)]).toEqual([value.name, true]);
      });
    }
    expect(copy.nodes.filter((node) => node.op === 'attention').map((node) => node.outputs[1] !== undefined)).toEqual([
      false,
      true,
    ]);
  });

  test('every node, forward and backward, fits the signature of its op', () => {
    for (const trainable of [
      () => true,
      (name: string) => /lora/.test(name),
      (name: string) => /loraB|LayerNorm/.test(name),
    ]) {
      const { copy } = differentiated({ layers: 2, dropout: 0.1, trainable });
      for (const node of copy.nodes) expect(() => opByName(node.op).infer(node)).not.toThrow();
    }
  });
});

test('a tied weight has one gradient, an output of two nodes', () => {
  const graph = new Graph(true);
  const parameters = new Parameters(all);
  const table = parameters.make('words', [9, 4]);
  const x = embeddingSum({ ids: graph.input('ids', 'i32', ['T']), table });
  graph.outputs.set('loss', crossEntropy(linear(x, table), graph.input('labels', 'i32', ['T'])));
  differentiate(graph);
  expect(graph.trained).toEqual([table]);
  const gradient = graph.gradient(table);
  expect(opsOf(graph.nodes.filter((node) => node.outputs.includes(gradient)))).toEqual([
    'linearBackwardWeight',
    'embeddingBackward',
  ]);
});

describe('errors', () => {
  const classifier = (trainable: (name: string) => boolean) => encoder({ trainable }).graph;

  test('nothing is trainable', () => {
    expect(() => differentiate(classifier(() => false))).toThrow(
      /nothing to train: all \d+ parameters of the graph are frozen/,
    );
  });

  test('what is trainable does not lead to the loss', () => {
    const graph = classifier((name) => name === 'pooler');
    const pooler = new Parameters(all).make('pooler', [4, 4]);
    graph.outputs.set('pooled', linear(graph.input('x', 'float', ['T', 4]), pooler));
    expect(() => differentiate(graph)).toThrow('no trainable parameter leads to the loss; trainable are pooler');
  });

  test('no loss, two losses, or a loss that is something else', () => {
    const none = classifier(all);
    none.outputs.delete('loss');
    expect(() => differentiate(none)).toThrow(/loss: crossEntropy and no output 'loss'/);
    const wrong = classifier(all);
    wrong.outputs.set('loss', wrong.outputs.get('logits') as Value);
    expect(() => differentiate(wrong)).toThrow(/one loss op whose result is the graph output 'loss'/);
    const two = classifier(all);
    const logits = two.outputs.get('logits') as Value;
    mse(logits, two.input('target', 'float', logits.shape));
    expect(() => differentiate(two)).toThrow(/the graph has loss: crossEntropy, mse/);
  });

  test('a trained parameter in a place that trains none', () => {
    const build = (x: Value, make: Make) => add(x, x.graph.parameter(make('P', 4, 4)));
    const graph = new Graph();
    const y = build(graph.input('x', 'float', [4, 4]), (name, ...shape) => new Parameters(all).make(name, shape));
    graph.outputs.set('loss', mse(y, graph.input('target', 'float', y.shape)));
    expect(() => differentiate(graph)).toThrow(
      'add: parameter P is trained, but stands where this op takes activations',
    );
  });

  test('trained class weights', () => {
    const graph = new Graph();
    const parameters = new Parameters(all);
    const logits = linear(graph.input('x', 'float', ['S', 4]), parameters.make('W', [3, 4]));
    const classWeights = parameters.make('classWeights', [3]);
    graph.outputs.set('loss', crossEntropy(logits, graph.input('labels', 'i32', ['S']), { classWeights }));
    expect(() => differentiate(graph)).toThrow('classWeights can not be trained through a loss');
  });
});
