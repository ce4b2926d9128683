import { scale } from '../../src/graph/ops';
import { Graph, type Value } from '../../src/graph/value';
import {
  Dropout,
  Embedding,
  LayerNorm,
  Linear,
  Module,
  ModuleDict,
  ModuleList,
  SelfAttention,
  trace,
} from '../../src/nn';
import { cloneModule } from '../../src/nn/clone';
import { errorMessage } from '../io/temporary';
import { TinyModel } from './tiny';

const input = (graph: Graph) => graph.input('x', 'float', ['T', 4]);

/** A module whose forward is given. */
class Custom extends Module {
  constructor(private readonly build: (x: Value) => unknown) {
    super();
  }
  forward(x: Value): Value {
    return this.build(x) as Value;
  }
}

class Holder extends Module {
  readonly inner = new Custom((x) => x);
  constructor(build: (x: Value) => unknown) {
    super();
    this.inner = new Custom(build);
  }
  forward(x: Value): Value {
    return this.inner.call(x);
  }
}

describe('the tree', () => {
  it('lists modules and parameters by path, a module before its children, own parameters first', () => {
    const model = new TinyModel();
    const names = model.namedModules().map(([name]) => name);
    expect(names.slice(0, 6)).toEqual(['', 'words', 'layer', 'layer.0', 'layer.0.attention', 'layer.0.attention.self']);
    expect(names).toContain('layer.2.output.LayerNorm');
    const parameters = model.namedParameters().map(([name]) => name);
    expect(parameters.slice(0, 3)).toEqual([
      'words.weight',
      'layer.0.attention.self.query.weight',
      'layer.0.attention.self.query.bias',
    ]);
    expect(parameters.slice(-2)).toEqual(['classifier.weight', 'classifier.bias']);
    expect(parameters).toHaveLength(1 + 3 * 16 + 2);
  });

  it('counts a shared parameter once, under its first path', () => {
    const words = new Embedding(10, 4);
    const net = new ModuleList<Module>([words, new Linear(4, 10, { weight: words.weight })]);
    expect(net.namedParameters().map(([name]) => name)).toEqual(['0.weight', '1.bias']);
    expect(net.namedParameters({ all: true }).map(([name]) => name)).toEqual(['0.weight', '1.weight', '1.bias']);
  });

  it('finds modules by path, and lists near names when it does not', () => {
    const model = new TinyModel();
    expect(model.getSubmodule('')).toBe(model);
    expect(model.getSubmodule('layer.1.attention.self')).toBeInstanceOf(SelfAttention);
    expect(model.layer.at(1)).toBe(model.getSubmodule('layer.1'));
    const message = errorMessage('INVALID_ARGUMENT', () => model.getSubmodule('layer.1.attention.self.querry'));
    expect(message).toContain('TinyModel has no module "layer.1.attention.self.querry"');
    expect(message).toContain('Near it: layer.1.attention.self.query');
    expect(errorMessage('INVALID_ARGUMENT', () => model.layer.at(7))).toContain('3 modules, none of number 7');
  });

  it('replaces a child by path and gives the old one', () => {
    const model = new TinyModel();
    const old = model.getSubmodule('layer.1.intermediate.dense');
    const fresh = new Linear(8, 16);
    expect(model.replaceChild('layer.1.intermediate.dense', fresh)).toBe(old);
    expect(model.layer.at(1).intermediate.dense).toBe(fresh);
    const layer = model.layer.at(2);
    expect(model.layer.replaceChild('0', layer)).toBeInstanceOf(Module);
    expect(model.layer.at(0)).toBe(layer);
    errorMessage('INVALID_ARGUMENT', () => model.replaceChild('layer.9', fresh));
    errorMessage('INVALID_ARGUMENT', () => model.replaceChild('', fresh));
  });

  it('freezes and thaws below a module', () => {
    const model = new TinyModel().requiresGrad_(false);
    model.classifier.requiresGrad_();
    const trained = model.namedParameters().filter(([, p]) => p.requiresGrad);
    expect(trained.map(([name]) => name)).toEqual(['classifier.weight', 'classifier.bias']);
  });

  it('prints as PyTorch does, equal layers once', () => {
    const list = new ModuleList<Module>([
      new Linear(2, 3, { bias: false }),
      new Linear(2, 3, { bias: false }),
      new LayerNorm(3, 1e-12),
      new Embedding(7, 3, { paddingIndex: 0 }),
    ]);
    expect(String(list)).toBe(
      [
        'ModuleList(',
        '  (0-1): 2 x Linear(in_features=2, out_features=3, bias=False)',
        '  (2): LayerNorm((3,), eps=1e-12, elementwise_affine=True)',
        '  (3): Embedding(7, 3, padding_idx=0)',
        ')',
      ].join('\n'),
    );
    const text = new TinyModel().toString();
    expect(text).toContain('\n    (0-2): 3 x EncoderLayer(\n');
    expect(text).toContain('\n          (query): Linear(in_features=8, out_features=8, bias=True)\n');
    expect(text).toContain('\n  (dropout): Dropout(p=0.1, inplace=False)\n');
    expect(String(new LayerNorm(2))).toBe('LayerNorm((2,), eps=1e-05, elementwise_affine=True)');
  });

  it('keeps named modules in a ModuleDict', () => {
    const dict = new ModuleDict();
    dict.set('a', new Linear(2, 2));
    expect(dict.names).toEqual(['a']);
    dict.delete('a');
    expect(dict.names).toEqual([]);
    const graph = new Graph();
    expect(errorMessage('INVALID_ARGUMENT', () => dict.call(input(graph)))).toContain('can not be called');
  });
});

describe('a copy of a module', () => {
  it('has the same values and parameters of its own, shared inside as they were', () => {
    const words = new Embedding(5, 4);
    const net = new ModuleList<Module>([words, new Linear(4, 5, { weight: words.weight })]).nameTree(3);
    const twin = cloneModule(net);
    const [a, b] = [net.namedParameters(), twin.namedParameters()];
    expect(b.map(([name]) => name)).toEqual(a.map(([name]) => name));
    expect(b[0]![1].data()).toEqual(a[0]![1].data());
    expect((twin.at(1) as Linear).weight).toBe((twin.at(0) as Embedding).weight);
    b[0]![1].setData(new Float32Array(20).fill(1));
    expect(a[0]![1].data()).not.toEqual(b[0]![1].data());
  });
});

describe('options', () => {
  it.each([
    ['Linear: inFeatures is 0', () => new Linear(0, 4)],
    ['Linear: outFeatures is 1.5', () => new Linear(4, 1.5)],
    ['Embedding: numEmbeddings is -1', () => new Embedding(-1, 4)],
    ['LayerNorm: features is NaN', () => new LayerNorm(Number.NaN)],
    ['Dropout: p is 1', () => new Dropout(1)],
    ['hiddenSize 10 is not divisible by numHeads 3', () => new SelfAttention({ hiddenSize: 10, numHeads: 3 })],
  ])('%s is an error', (text, make) => {
    expect(errorMessage('INVALID_ARGUMENT', make)).toContain(text);
  });
});

describe('tracing', () => {
  it('names nodes by module path, and outputs logits and loss', () => {
    const graph = trace(new TinyModel());
    const paths = graph.nodes.map(({ path }) => path);
    expect(paths).toContain('layer.2.attention.self.query');
    expect(paths.at(-1)).toBe('loss');
    expect([...graph.outputs.keys()]).toEqual(['logits', 'loss']);
    expect(graph.outputs.get('logits')!.shape).toEqual(['S', 2]);
    expect([...graph.inputs.keys()]).toEqual(['inputIds', 'cuSeqlens', 'firstToken', 'labels']);
    expect([...trace(new TinyModel(), { loss: false }).outputs.keys()]).toEqual(['logits']);
  });

  it('drops out in training graphs, but not in modules put to eval()', () => {
    const dropouts = (graph: Graph) => graph.nodes.filter(({ op }) => op === 'dropout').map(({ path }) => path);
    const model = new TinyModel();
    expect(dropouts(trace(model))).toHaveLength(7);
    expect(dropouts(trace(model, { training: false }))).toEqual([]);
    model.layer.eval();
    expect(dropouts(trace(model))).toEqual(['dropout']);
    expect(dropouts(trace(model.eval()))).toEqual([]);
    expect(dropouts(trace(model.train()))).toHaveLength(7);
  });

  it.each<[string, (x: Value) => unknown]>([
    ['is used as a number', (x) => ((x as unknown as number) > 0 ? x : scale(x, 2))],
    ['is used as a number', (x) => scale(x, (x as unknown as number) * 2)],
    ['returned a Promise', async (x) => x],
    ['returned undefined', () => undefined],
    ['a Value of another graph', () => input(new Graph())],
  ])('a forward that depends on data is an error with its path: %s', (text, build) => {
    const holder = new Holder(build).nameTree();
    const message = errorMessage('INVALID_ARGUMENT', () => holder.call(input(new Graph())));
    expect(message).toContain('inner: ');
    expect(message).toContain(text);
  });

  it('refuses what is no value', () => {
    const message = errorMessage('INVALID_ARGUMENT', () => new Linear(2, 2).call(3 as unknown as Value));
    expect(message).toContain('Linear: was called with number');
  });

  it('names the module whose input has a wrong shape', () => {
    const model = new TinyModel();
    model.replaceChild('layer.1.intermediate.dense', new Linear(4, 16));
    expect(errorMessage('INVALID_SHAPE', () => trace(model))).toContain('layer.1.intermediate.dense: linear');
  });
});
