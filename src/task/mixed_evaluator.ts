/**
 * A model run over examples of several of its adapters in the same batches, without dropout: one
 * pass of the base for all of them, each example with its own adapter and head. Each example has
 * the bits that it has with its adapter alone.
 * One adapter for all examples: model_evaluator.ts. Who asks: classify.ts.
 */
import { FusedLoraError } from '../base/errors';
import type { Batch } from '../data/batch/batch';
import { planBatches } from '../data/batch/batch_plan';
import { outputRows } from '../data/batch/output_rows';
import { packSegments } from '../data/batch/segments';
import { positionsOf } from '../data/batch/sources';
import type { EncodedExample } from '../data/tokenize/encoded_example';
import { type BaseWeights, checkedHeldWeights, type EmbeddingWeights } from '../graph/base_weights';
import type { BackendName } from '../graph/parameter';
import { plan } from '../graph/plan';
import { choosePrecision, type PrecisionOption } from '../graph/precision';
import { Program } from '../graph/program';
import { Graph } from '../graph/value';
import { activeAdapters } from '../lora';
import { withAdaptersFor } from '../lora/registry';
import { AdapterSlotTable } from '../lora/slots';
import type { TaskModel } from '../models';
import { finite } from './finite';
import { sameAdapters } from './same_adapters';

/** Of {@link MixedEvaluator}. */
export interface MixedEvaluatorOptions {
  backend?: BackendName;
  precision?: PrecisionOption | undefined;
  baseWeights?: BaseWeights | undefined;
  /** Of the frozen word embeddings: fp32, or int8 codes by row. Default fp32. */
  embeddingWeights?: EmbeddingWeights | undefined;
}

const BASE = 'logits';
const outputOf = (adapter: string | undefined) => (adapter === undefined ? BASE : `${BASE}:${adapter}`);

/** Kept between calls, so that weights are packed once. */
export class MixedEvaluator {
  private readonly program: Program;
  /** Which adapter is where; another may be put in the place of one between two runs. */
  readonly table: AdapterSlotTable;
  /** Logits have a row a token, or a sequence. */
  private readonly rows: 'T' | 'S';
  private readonly numOutputs = new Map<string | undefined, number>();
  private readonly check: (name: string) => void;

  /** @param adapters those that examples may name. */
  constructor(
    private readonly model: TaskModel,
    readonly adapters: readonly string[],
    options: MixedEvaluatorOptions = {},
  ) {
    const { backend = 'cpu' } = options;
    this.check = sameAdapters(model, adapters);
    this.table = new AdapterSlotTable(model, adapters);
    const graph = this.trace();
    this.rows = graph.outputs.get(BASE)?.shape[0] === 'T' ? 'T' : 'S';
    for (const name of [undefined, ...adapters]) {
      this.numOutputs.set(name, graph.outputs.get(outputOf(name))?.features ?? 0);
    }
    const precision = choosePrecision(options.precision, backend);
    const held = checkedHeldWeights(options);
    this.program = new Program(plan(graph, { train: false, precision, ...held }), { backend });
  }

  /**
   * @param adapterOf the adapter of each example; undefined: the base with its own head.
   * @param tokenBudget most tokens a batch
   * @returns logits, in the order of the examples.
   */
  async run(
    examples: readonly EncodedExample[],
    adapterOf: readonly (string | undefined)[],
    tokenBudget: number,
    signal?: AbortSignal,
  ): Promise<Float32Array[]> {
    const { names } = this.table;
    const slots = adapterOf.map((name) => this.slotOf(name));
    for (const name of new Set(adapterOf)) if (name !== undefined) this.check(name);
    const logits = new Array<Float32Array>(examples.length);
    const lengths = examples.map(({ inputIds }) => inputIds.length);
    for (const indices of planBatches(lengths, { tokenBudget, sortByLength: true })) {
      const batch = packSegments(examples, indices, slots, names.length, positionsOf(this.model));
      await this.program.forward(batch, { signal });
      this.read(batch, adapterOf, logits);
    }
    return logits;
  }

  /** Frees the program and the slots; the model stays. */
  dispose(): void {
    this.program.dispose();
    this.table.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The encoder once, with slots; then what is above it for each adapter, as if it were alone. */
  private trace(): Graph {
    const { model } = this;
    model.nameTree();
    const graph = new Graph(false);
    const hidden = withAdaptersFor(model, [], () => this.table.use(graph, () => model.encoderModel.callOn(graph)));
    for (const name of [undefined, ...this.adapters]) {
      const logits = withAdaptersFor(model, name === undefined ? [] : [name], () => model.forward(hidden));
      graph.outputs.set(outputOf(name), logits);
    }
    return graph;
  }

  private slotOf(name: string | undefined): number {
    if (name === undefined) return this.table.names.length;
    const slot = this.table.slotOf(name);
    if (slot !== undefined) return slot;
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `there is no adapter "${name}" here; there are: ${this.adapters.join(', ') || 'none'}. Adapters that are added later need a new Classifier.`,
    );
  }

  private read(batch: Batch, adapterOf: readonly (string | undefined)[], logits: Float32Array[]): void {
    const all = new Map<string | undefined, Float32Array>();
    batch.exampleIndices.forEach((index, s) => {
      const name = adapterOf[index];
      const values = all.get(name) ?? (this.program.read(outputOf(name)) as Float32Array);
      all.set(name, values);
      logits[index] = finite(outputRows(values, this.numOutputs.get(name)!, this.rows, batch, s), name, index);
    });
  }
}

/** The adapter of texts that name none: the active one; undefined for the base. */
export function defaultAdapter(model: TaskModel): string | undefined {
  const [name, ...others] = activeAdapters(model);
  if (others.length === 0) return name;
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `the adapters ${[name, ...others].join(', ')} are active together: a mixed batch has one adapter a text. Name one for each text.`,
  );
}
