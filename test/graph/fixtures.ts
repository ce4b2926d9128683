/** Small graphs for the planner's tests. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import {
  activation,
  add,
  attention,
  crossEntropy,
  dropout,
  embeddingSum,
  gatherRows,
  layerNorm,
  linear,
  loraLinear,
} from '../../src/graph/ops';
import { Parameter } from '../../src/graph/parameter';
import { Graph, type Value } from '../../src/graph/value';

/** Makes parameters with reproducible values in (-scale, scale), by name. */
export class Parameters {
  readonly all = new Map<string, Parameter>();
  private state = 12345;

  constructor(private readonly trainable: (name: string) => boolean) {}

  make(name: string, shape: number[], { scale = 0.5, offset = 0 } = {}): Parameter {
    const values = new Float32Array(shape.reduce((product, dim) => product * dim, 1));
    for (let i = 0; i < values.length; i++) values[i] = offset + scale * this.uniform();
    const parameter = new Parameter(shape, values, { name, requiresGrad: this.trainable(name) });
    this.all.set(name, parameter);
    return parameter;
  }

  get(name: string): Parameter {
    const parameter = this.all.get(name);
    if (!parameter) throw new Error(`no parameter ${name}`);
    return parameter;
  }

  /** In (-1, 1). */
  uniform(): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0;
    return this.state / 2 ** 31 - 1;
  }
}

export interface EncoderOptions {
  layers?: number;
  /** Dropout everywhere, the LoRA's own too. */
  dropout?: number;
  /** Which linears carry an adapter, by path. */
  lora?: (path: string) => boolean;
  trainable?: (name: string) => boolean;
  /** Operands of residual sums the other way round. */
  residualFirst?: boolean;
}

const H = 8;
const RANK = 2;

/** A post-LayerNorm encoder with a two-class head on the first token, as modules trace it. */
export function encoder(options: EncoderOptions = {}): { graph: Graph; parameters: Parameters } {
  const { layers = 1, dropout: p = 0, lora = () => true, residualFirst = false } = options;
  const parameters = new Parameters(options.trainable ?? ((name) => /lora|classifier/.test(name)));
  const graph = new Graph(true);
  const make = (name: string, ...shape: number[]) => parameters.make(name, shape);
  const dense = (path: string, x: Value, out: number): Value =>
    graph.scope(path, () => {
      const W = make(`${path}.weight`, out, x.features);
      const b = make(`${path}.bias`, out);
      if (!lora(path)) return linear(x, W, b);
      const A = make(`${path}.loraA`, RANK, x.features);
      return loraLinear(x, W, b, A, make(`${path}.loraB`, out, RANK), { scaling: 2, dropout: p });
    });
  const norm = (path: string, x: Value): Value =>
    graph.scope(path, () =>
      layerNorm(x, parameters.make(`${path}.weight`, [H], { offset: 1 }), make(`${path}.bias`, H), 1e-5),
    );
  const residual = (path: string, x: Value, r: Value): Value => {
    const sum = graph.scope(path, () => {
      const dropped = dropout(x, p);
      return residualFirst ? add(r, dropped) : add(dropped, r);
    });
    return norm(`${path}.LayerNorm`, sum);
  };

  const cu = graph.input('cuSeqlens', 'i32', ['S+1']);
  const words = { ids: graph.input('tokenIds', 'i32', ['T']), table: make('embeddings.words', 11, H), paddingIndex: 1 };
  const places = { ids: graph.input('positionIds', 'i32', ['T']), table: make('embeddings.positions', 9, H) };
  let x = norm(
    'embeddings.LayerNorm',
    graph.scope('embeddings', () => embeddingSum(words, places)),
  );
  for (let i = 0; i < layers; i++) {
    const path = `layer.${i}`;
    const [q, k, v] = ['query', 'key', 'value'].map((name) => dense(`${path}.${name}`, x, H)) as [Value, Value, Value];
    const context = graph.scope(`${path}.self`, () => attention(q, k, v, cu, { numHeads: 2, dropout: p }));
    x = residual(`${path}.attention`, dense(`${path}.attention.dense`, context, H), x);
    const inner = graph.scope(`${path}.act`, () => activation(dense(`${path}.intermediate`, x, 2 * H), 'gelu'));
    x = residual(`${path}.output`, dense(`${path}.output.dense`, inner, H), x);
  }
  const first = gatherRows(x, graph.input('firstToken', 'i32', ['S']));
  const logits = graph.scope('classifier', () =>
    linear(first, make('classifier.weight', 2, H), make('classifier.bias', 2)),
  );
  graph.outputs.set('logits', logits);
  graph.outputs.set(
    'loss',
    graph.scope('loss', () => crossEntropy(logits, graph.input('labels', 'i32', ['S']))),
  );
  return { graph, parameters };
}

/** Names of ops in order. */
export function opsOf(nodes: readonly { op: string }[]): string[] {
  return nodes.map((node) => node.op);
}

export function count(nodes: readonly { op: string }[], op: string): number {
  return nodes.filter((node) => node.op === op).length;
}

const ADDON = path.resolve(__dirname, '../../build/Release/fused-lora.node');

/** `describe`, or a skipped one with the reason on the console where the addon is not built. */
export function describeWithAddon(name: string, body: () => void): void {
  if (fs.existsSync(ADDON)) {
    describe(name, body);
    return;
  }
  console.warn(`skipped: ${name}: ${ADDON} is not built (npm run build:native)`);
  describe.skip(name, body);
}
