/**
 * A model run over examples with several of its adapters for each of them, without dropout: what
 * the adapters share runs once, from the embeddings up to the first thing that one of them changes,
 * and branches there. Each example has the bits that it has with each adapter alone.
 * Another adapter for each example: mixed_evaluator.ts. Who asks: classify.ts.
 */
import { outputRows } from '../data/batch/output_rows';
import { type BatchSizes, sourceOf } from '../data/batch/sources';
import type { EncodedExample } from '../data/tokenize/encoded_example';
import { checkedHeldWeights } from '../graph/base_weights';
import { type Plan, plan } from '../graph/plan';
import { choosePrecision } from '../graph/precision';
import { Program } from '../graph/program';
import { Graph, type Sizes } from '../graph/value';
import { withAdaptersFor } from '../lora/registry';
import type { TaskModel } from '../models';
import { finite } from './finite';
import type { MixedEvaluatorOptions } from './mixed_evaluator';
import { sameAdapters } from './same_adapters';

/**
 * One graph with a whole pass for each adapter, whose logits are named as the adapter is. Passes
 * over the same base are the same nodes until an adapter comes: planning makes one of them
 * (src/graph/rewrite/share.ts).
 */
function traceEach(model: TaskModel, adapters: readonly string[]): Graph {
  model.nameTree();
  const graph = new Graph(false);
  for (const name of adapters) {
    const logits = withAdaptersFor(model, [name], () => model.forwardLogits(graph));
    graph.outputs.set(name, logits);
  }
  return graph;
}

/** Kept between calls, so that weights are packed once. */
export class SharedEvaluator {
  private readonly program: Program;
  /** Logits have a row a token, or a sequence. */
  private readonly rows: 'T' | 'S';
  private readonly numOutputs: ReadonlyMap<string, number>;
  private readonly check: (name: string) => void;

  /** @param adapters of the model, each once. */
  constructor(
    private readonly model: TaskModel,
    readonly adapters: readonly string[],
    options: MixedEvaluatorOptions = {},
  ) {
    const { backend = 'cpu' } = options;
    this.check = sameAdapters(model, adapters);
    const graph = traceEach(model, adapters);
    const outputs = [...graph.outputs];
    this.rows = outputs[0]?.[1].shape[0] === 'T' ? 'T' : 'S';
    this.numOutputs = new Map(outputs.map(([name, { features }]) => [name, features]));
    const precision = choosePrecision(options.precision, backend);
    const held = checkedHeldWeights(options);
    this.program = new Program(plan(graph, { train: false, precision, ...held }), { backend });
  }

  /** @returns by adapter the logits, in the order of the examples. */
  async run(
    examples: readonly EncodedExample[],
    sizes: BatchSizes,
    signal?: AbortSignal,
  ): Promise<Map<string, Float32Array[]>> {
    for (const name of this.adapters) this.check(name);
    const logits = new Map(this.adapters.map((name) => [name, new Array<Float32Array>(examples.length)]));
    const batches = sourceOf(this.model, examples, { ...sizes, shuffle: false }).epoch(0);
    for (let i = 0; i < batches.length; i++) {
      const batch = batches.at(i);
      await this.program.forward(batch, { signal });
      for (const [name, all] of logits) {
        const width = this.numOutputs.get(name) as number;
        const values = this.program.read(name) as Float32Array;
        batch.exampleIndices.forEach((example, s) => {
          all[example] = finite(outputRows(values, width, this.rows, batch, s), name, example);
        });
      }
    }
    return logits;
  }

  /** Frees the program; the model stays. */
  dispose(): void {
    this.program.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** What one pass for several adapters saves over a pass for each. */
export interface SharedCost {
  adapters: readonly string[];
  /** Layers from the embeddings up that all of them share, of `layers`. */
  sharedLayers: number;
  layers: number;
  /** Of a batch; a multiply-add counts 2. */
  flops: { each: number; shared: number };
  /** flops.each / flops.shared: how many times as fast it is, where arithmetic decides. */
  ratio: number;
}

/**
 * What sharing saves on a batch of these sizes, before anything runs.
 *
 * @param adapters of the model, each once.
 */
export function sharedCost(model: TaskModel, adapters: readonly string[], sizes: Sizes): SharedCost {
  const planOf = (names: readonly string[]) => plan(traceEach(model, names), { train: false });
  const each = adapters.reduce((sum, name) => sum + planOf([name]).flops(sizes).forward, 0);
  const together = planOf(adapters);
  const shared = together.flops(sizes).forward;
  const layers = model.config.numHiddenLayers;
  return {
    adapters,
    sharedLayers: sharedLayersOf(together, layers),
    layers,
    flops: { each, shared },
    ratio: each / shared,
  };
}

/** Layers whose first product stands in the plan once: the base of all adapters. */
function sharedLayersOf(together: Plan, layers: number): number {
  const times = new Array<number>(layers).fill(0);
  for (const { op, path } of together.instructions) {
    const layer = /\.layer\.(\d+)\.output\.LayerNorm$/.exec(path)?.[1];
    if (layer !== undefined && op.endsWith('ayerNorm')) times[Number(layer)]!++;
  }
  const first = times.findIndex((count) => count > 1);
  return first < 0 ? layers : first;
}
