/**
 * Models that share batches: one pass of an encoder over rows of all of them, each row with its own
 * adapter, and above it a head for each, whatever its task and labels. Which models share one is
 * decided in catalog.ts. The same for adapters of one task: src/task/mixed_evaluator.ts.
 */
import { FusedLoraError } from '../base/errors';
import type { Batch } from '../data/batch/batch';
import { outputRows } from '../data/batch/output_rows';
import { packBatch } from '../data/batch/packing';
import { packSegments } from '../data/batch/segments';
import { positionsOf } from '../data/batch/sources';
import type { EncodedExample } from '../data/tokenize/encoded_example';
import type { BaseWeights, EmbeddingWeights } from '../graph/base_weights';
import type { BackendName } from '../graph/parameter';
import { plan } from '../graph/plan';
import type { Precision } from '../graph/precision';
import { Program } from '../graph/program';
import { Graph, type Value } from '../graph/value';
import { withAdaptersFor } from '../lora/registry';
import { AdapterSlotTable } from '../lora/slots';
import type { TaskModel } from '../models';

/** What a lane computes for one model. */
export interface LaneMember {
  /** Of the model, unique in the lane. */
  key: string;
  /** The adapter of the lane's encoder that its rows go through; undefined: none. */
  adapter: string | undefined;
  /** What stands on the encoder: a row for each sequence, or for each token. */
  head: (hidden: Value) => Value;
  /** What is made of a text's rows [rows, features]. Default: nothing. */
  finish?: ((rows: Float32Array, features: number, item: LaneItem) => Float32Array) | undefined;
}

/** One text of a batch. */
export interface LaneItem {
  key: string;
  example: EncodedExample;
  /** Of an embedding: tokens at the start that belong to a prompt, special ones counted. */
  promptTokens?: number | undefined;
}

/** How a lane computes. */
export interface LaneOptions {
  backend: BackendName;
  precision: Precision;
  baseWeights: BaseWeights;
  embeddingWeights: EmbeddingWeights;
  alone?: boolean;
}

export class Lane {
  private readonly program: Program;
  private readonly table: AdapterSlotTable | undefined;
  /** Of each member: the output of the graph that is its own. */
  private readonly outputs = new Map<string, { name: string; features: number; rows: 'T' | 'S' }>();
  private readonly members = new Map<string, LaneMember>();

  /**
   * @param model whose encoder it is.
   * @param members one or more.
   * @param alone the encoder runs with the adapter that is active in it, which can share no batch.
   * @throws FusedLoraError INVALID_LORA for adapters that can not share a batch.
   */
  constructor(
    private readonly model: TaskModel,
    members: readonly LaneMember[],
    { backend, alone = false, ...form }: LaneOptions,
  ) {
    for (const member of members) this.members.set(member.key, member);
    const adapters = members.flatMap(({ adapter }) => (adapter === undefined ? [] : [adapter]));
    this.table = alone ? undefined : new AdapterSlotTable(model, adapters);
    this.program = new Program(plan(this.trace(), { train: false, ...form }), { backend });
  }

  /** Allocates what a batch of that many tokens needs. */
  async reserve(tokens: number, texts: number): Promise<void> {
    await this.program.reserve({ T: tokens, S: texts, M: 0 });
  }

  /**
   * @returns what each text's head gives, in the order of the items; an error for one whose numbers
   * are not finite.
   */
  async run(items: readonly LaneItem[]): Promise<(Float32Array | FusedLoraError)[]> {
    const slots = items.map(({ key }) => this.slotOf(key));
    const examples = items.map(({ example }) => example);
    const indices = Int32Array.from(items.keys());
    const batch = this.table
      ? packSegments(examples, indices, slots, this.table.names.length, positionsOf(this.model))
      : packBatch(examples, indices, positionsOf(this.model));
    await this.program.forward(batch);
    return this.read(items, batch);
  }

  /** Frees the program and the slots; the models stay. */
  dispose(): void {
    this.program.dispose();
    this.table?.dispose();
  }

  private trace(): Graph {
    const { model, table } = this;
    model.nameTree();
    const graph = new Graph(false);
    const encode = () => model.encoderModel.callOn(graph);
    const hidden = table ? withAdaptersFor(model, [], () => table.use(graph, encode)) : encode();
    const names = new Map<Value, string>();
    for (const { key, head } of this.members.values()) {
      const value = head(hidden);
      // Members with the same value, such as the hidden states, read one output.
      const name = names.get(value) ?? `output:${names.size}`;
      names.set(value, name);
      graph.outputs.set(name, value);
      this.outputs.set(key, { name, features: value.features, rows: value.shape[0] === 'T' ? 'T' : 'S' });
    }
    return graph;
  }

  /** Rows without an adapter come last. */
  private slotOf(key: string): number {
    const { adapter } = this.members.get(key) as LaneMember;
    if (!this.table) return 0;
    return adapter === undefined ? this.table.names.length : (this.table.slotOf(adapter) as number);
  }

  private read(items: readonly LaneItem[], batch: Batch): (Float32Array | FusedLoraError)[] {
    const results = new Array<Float32Array | FusedLoraError>(items.length);
    const values = new Map<string, Float32Array>();
    batch.exampleIndices.forEach((index, s) => {
      const { key } = items[index] as LaneItem;
      const { name, features, rows: of } = this.outputs.get(key)!;
      const all = values.get(name) ?? (this.program.read(name) as Float32Array);
      values.set(name, all);
      const rows = outputRows(all, features, of, batch, s);
      const { finish } = this.members.get(key) as LaneMember;
      results[index] = rows.every(Number.isFinite)
        ? (finish?.(rows, features, items[index] as LaneItem) ?? rows)
        : new FusedLoraError('NON_FINITE_LOSS', 'the outputs of the model for this text hold NaN or infinite values');
    });
    return results;
  }
}
