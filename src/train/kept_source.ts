/**
 * Batches with what frozen layers gave for their texts, computed at the first pass over each text
 * and read from then on. Where a graph may be cut: src/graph/cut.ts; where states are kept:
 * kept_states.ts.
 */
import { createHash } from 'node:crypto';
import type { Batch, BatchSource } from '../data/batch/batch';
import { outputRows } from '../data/batch/output_rows';
import { afterCut, beforeCut, type Cut, KEPT, lowestCut, shareBefore } from '../graph/cut';
import type { BackendName } from '../graph/parameter';
import { plan } from '../graph/plan';
import type { Precision } from '../graph/precision';
import { Program } from '../graph/program';
import { describeNode, type Graph } from '../graph/value';
import type { KeptStates } from './kept_states';

/** Values of each frozen tensor that name it. */
const SAMPLES = 1024;
/** Of a forward pass: less is not worth the memory. */
const LEAST_SHARE = 0.05;

/** What frozen layers give, for the programs and batches of one run. */
export class FrozenPart {
  /** Share of a forward pass that is spared. */
  readonly share: number;
  private readonly graph: Graph;
  private readonly part: string;
  private program: Program | undefined;

  /**
   * @param whole the model's graph without dropout.
   * @returns undefined where too little comes before what is trained.
   */
  static of(
    whole: Graph,
    states: KeptStates,
    settings: { backend: BackendName; precision: Precision },
  ): FrozenPart | undefined {
    const cut = lowestCut(whole);
    if (!cut || shareBefore(whole, cut) < LEAST_SHARE) return undefined;
    return new FrozenPart(whole, cut, states, settings);
  }

  private constructor(
    whole: Graph,
    private readonly cut: Cut,
    private readonly states: KeptStates,
    private readonly settings: { backend: BackendName; precision: Precision },
  ) {
    this.share = shareBefore(whole, cut);
    this.graph = beforeCut(whole, cut);
    this.part = nameOf(this.graph, settings);
  }

  /**
   * The same graph from the cut on.
   *
   * @param graph of the model, with dropout or without.
   */
  after(graph: Graph): Graph {
    // A graph without the place of the cut computes everything, which is right too.
    return afterCut(graph, this.cut) ?? graph;
  }

  /** The batches of a source, with the states that {@link after} asks for. */
  source<S extends BatchSource>(source: S): BatchSource & Pick<S, 'numExamples' | 'fingerprint'> {
    return {
      numExamples: source.numExamples,
      ...(source.singlePass !== undefined && { singlePass: source.singlePass }),
      get fingerprint() {
        return source.fingerprint;
      },
      epoch: (number) => {
        const batches = source.epoch(number);
        return {
          // Of data that are read once the length comes to be known.
          get length() {
            return batches.length;
          },
          ...(batches.largest !== undefined && { largest: batches.largest }),
          at: async (index) => this.withStates(await batches.at(index)),
          ...(batches.shareAt && {
            shareAt: async (index, share) => {
              const batch = await batches.shareAt?.(index, share);
              return batch && this.withStates(batch);
            },
          }),
          ...(batches.close && { close: () => (batches.close as () => Promise<void>)() }),
        };
      },
    };
  }

  private async withStates(batch: Batch): Promise<Batch> {
    const { rows, features } = this.cut;
    const { T, S } = batch.sizes;
    const texts = Array.from({ length: S }, (_, s) => textOf(batch, s));
    const found = texts.map((text) => this.states.get(this.part, text));
    let kept = new Float32Array((rows === 'S' ? S : T) * features);
    if (found.every((state) => state !== undefined)) {
      let at = 0;
      for (const state of found) {
        kept.set(state, at);
        at += state.length;
      }
    } else {
      this.program ??= new Program(plan(this.graph, { train: false, precision: this.settings.precision }), {
        backend: this.settings.backend,
      });
      await this.program.forward(batch);
      kept = this.program.read(KEPT) as Float32Array<ArrayBuffer>;
      texts.forEach((text, s) => {
        if (!found[s]) this.states.put(this.part, text, outputRows(kept, features, rows, batch, s));
      });
    }
    return { ...batch, tensors: { ...batch.tensors, [KEPT]: kept } };
  }

  /** Frees the program; states stay where they are kept. */
  dispose(): void {
    this.program?.dispose();
    this.program = undefined;
  }

  /** For `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Of one text in a batch: its tokens and their types, as characters. */
function textOf({ tensors }: Batch, s: number): string {
  const offsets = tensors['cuSeqlens'] as Int32Array;
  const part = (name: string) => {
    const ids = (tensors[name] as Int32Array).subarray(offsets[s], offsets[s + 1]);
    return Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength).toString('latin1');
  };
  return part('inputIds') + part('tokenTypeIds');
}

/** The content of a frozen part in short: its ops, its weights, and what computes it. */
function nameOf(graph: Graph, settings: { backend: BackendName; precision: Precision }): string {
  const hash = createHash('sha256').update(JSON.stringify(settings));
  for (const node of graph.nodes) hash.update(`${describeNode(node)}\n`);
  for (const parameter of new Set(graph.nodes.flatMap(({ inputs }) => inputs.flatMap((one) => one?.parameter ?? [])))) {
    hash.update(parameter.sample(Math.max(1, Math.ceil(parameter.count / SAMPLES))));
  }
  return hash.digest('hex').slice(0, 32);
}
