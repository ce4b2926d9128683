/**
 * Runs a model over a data set without dropout: logits in the order of the examples, and the mean
 * loss. What is made of them is in src/metrics; src/task/model_evaluator.ts calls it with examples
 * in the place of batches.
 */
import { FusedLoraError } from '../base/errors';
import type { Batch, BatchSource } from '../data/batch/batch';
import { outputRows } from '../data/batch/output_rows';
import { type BaseWeights, checkedBaseWeights } from '../graph/base_weights';
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
  /** Whether batches have labels, so that there is a loss. Default true. */
  loss?: boolean;
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
  private readonly withLoss: boolean;
  private readonly lossDenominator: (batch: Batch) => number;
  private readonly numOutputs: number;
  /** Which rows the logits have: one a token, a sequence, or a gathered row. */
  private readonly rows: 'T' | 'S' | 'M';

  constructor(options: EvaluatorOptions) {
    this.withLoss = options.loss ?? true;
    const graph = options.trace({ training: false, loss: this.withLoss });
    const logits = graph.outputs.get('logits');
    this.numOutputs = logits?.features ?? 0;
    this.rows = (logits?.shape[0] ?? 'S') as 'T' | 'S' | 'M';
    const { backend = 'cpu' } = options;
    const precision = choosePrecision(options.precision, backend);
    const baseWeights = checkedBaseWeights(options.baseWeights);
    const planned = plan(graph, { train: false, precision, baseWeights });
    this.lossDenominator = lossDenominatorOf(planned);
    this.program = new Program(planned, { backend });
  }

  /** Runs all batches of epoch 0. */
  async run(source: BatchSource, signal?: AbortSignal): Promise<Evaluation> {
    const logits = new Array<Float32Array>(source.numExamples);
    let lossSum = 0;
    let denominators = 0;
    const batches = source.epoch(0);
    for (let i = 0; i < batches.length; i++) {
      const batch = await batches.at(i);
      await this.program.forward(batch, { signal });
      if (this.withLoss) {
        const denominator = this.lossDenominator(batch);
        lossSum += this.program.scalar('loss') * denominator;
        denominators += denominator;
      }
      if (this.rows === 'M') continue;
      const values = this.program.read('logits') as Float32Array;
      for (let s = 0; s < batch.sizes.S; s++) {
        const example = batch.exampleIndices[s] as number;
        const own = outputRows(values, this.numOutputs, this.rows, batch, s);
        if (!own.every(Number.isFinite)) throw notFinite(example);
        logits[example] = own;
      }
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
