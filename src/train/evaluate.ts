/**
 * Runs a model over a data set without dropout: logits in the order of the examples, and the mean
 * loss. What is made of them is in src/metrics; src/task/model_evaluator.ts calls it with examples
 * in the place of batches.
 */
import { FusedLoraError } from '../base/errors';
import type { Batch, BatchSource } from '../data/batch/batch';
import { outputRows } from '../data/batch/output_rows';
import { gatherNumbers, gatherRows } from '../distributed/collectives';
import { type Group, SOLO } from '../distributed/group';
import { type BaseWeights, checkedHeldWeights, type EmbeddingWeights } from '../graph/base_weights';
import type { BackendName } from '../graph/parameter';
import { plan } from '../graph/plan';
import { choosePrecision, type PrecisionOption } from '../graph/precision';
import { Program } from '../graph/program';
import type { Graph } from '../graph/value';
import type { Evaluation } from '../metrics/evaluation';
import { lossDenominatorOf } from './loss_share';

/** Of {@link Evaluator}. */
export interface EvaluatorOptions {
  trace: (options: { training: boolean; loss: boolean }) => Graph;
  /** Default cpu. */
  backend?: BackendName;
  /** Of products. Default auto: bf16 where the device has instructions for it. */
  precision?: PrecisionOption;
  /** Of the frozen weights of layers. Default fp32. */
  baseWeights?: BaseWeights | undefined;
  /** Of the frozen word embeddings: fp32, or int8 codes by row. Default fp32. */
  embeddingWeights?: EmbeddingWeights | undefined;
  /** Whether batches have labels, so that there is a loss. Default true. */
  loss?: boolean;
  /** Ranks among which batches are divided; all of them get all results. Default: no others. */
  group?: Group;
}

function notFinite(example: number): FusedLoraError {
  return new FusedLoraError(
    'NON_FINITE_LOSS',
    `the model's outputs for example ${example} (counted from 0) hold NaN or infinite values. Its weights hold such values, or are too large: ` +
      'train it again with a smaller learning rate, or fetch it again.',
  );
}

/** Kept between evaluations, so that weights are packed once. */
export class Evaluator {
  private readonly program: Program;
  private readonly group: Group;
  private readonly withLoss: boolean;
  private readonly lossDenominator: (batch: Batch) => number;
  private readonly numOutputs: number;
  /** Which rows the logits have: one a token, a sequence, or a gathered row. */
  private readonly rows: 'T' | 'S' | 'M';

  constructor(options: EvaluatorOptions) {
    this.withLoss = options.loss ?? true;
    this.group = options.group ?? SOLO;
    const graph = options.trace({ training: false, loss: this.withLoss });
    const logits = graph.outputs.get('logits');
    this.numOutputs = logits?.features ?? 0;
    this.rows = (logits?.shape[0] ?? 'S') as 'T' | 'S' | 'M';
    const { backend = 'cpu' } = options;
    const precision = choosePrecision(options.precision, backend);
    const held = checkedHeldWeights(options);
    const planned = plan(graph, { train: false, precision, ...held });
    this.lossDenominator = lossDenominatorOf(planned);
    this.program = new Program(planned, { backend });
  }

  /**
   * Runs all batches of epoch 0, each on one of the ranks. Logits and loss are those of one
   * process, to the bit.
   */
  async run(source: BatchSource, signal?: AbortSignal): Promise<Evaluation> {
    const { group } = this;
    const logits = new Array<Float32Array>(source.numExamples);
    const batches = source.epoch(0);
    /** Of each batch of this rank: its loss times its denominator, and the denominator. */
    const losses: number[] = [];
    const own: number[] = [];
    for (let i = group.rank; i < batches.length; i += group.size) {
      const batch = await batches.at(i);
      await this.program.forward(batch, { signal });
      if (this.withLoss) {
        const denominator = this.lossDenominator(batch);
        losses.push(this.program.scalar('loss') * denominator, denominator);
      }
      if (this.rows === 'M') continue;
      const values = this.program.read('logits') as Float32Array;
      for (let s = 0; s < batch.sizes.S; s++) {
        const example = batch.exampleIndices[s] as number;
        const rows = outputRows(values, this.numOutputs, this.rows, batch, s);
        if (!rows.every(Number.isFinite)) throw notFinite(example);
        logits[example] = rows;
        own.push(example);
      }
    }
    if (group.size > 1) await gatherRows(group, logits, own);
    const all = await gatherNumbers(group, losses);
    let [lossSum, denominators] = [0, 0];
    // In the order of batches, whoever ran them.
    for (let i = 0; this.withLoss && i < batches.length; i++) {
      const at = 2 * Math.floor(i / group.size);
      lossSum += all[i % group.size]?.[at] as number;
      denominators += all[i % group.size]?.[at + 1] as number;
    }
    return { loss: denominators > 0 ? lossSum / denominators : Number.NaN, logits, numOutputs: this.numOutputs };
  }

  /** Frees the program; the model stays. */
  dispose(): void {
    this.program.dispose();
  }

  /** For `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
