/**
 * A model run over encoded examples without dropout: the one way from examples to logits, for
 * evaluate.ts and classify.ts. The loop over batches is src/train/evaluate.ts; what is read off the
 * logits is in src/metrics.
 */
import { type BatchSizes, sourceOf } from '../data/batch/sources';
import type { EncodedExample } from '../data/tokenize/encoded_example';
import type { Evaluation } from '../metrics/evaluation';
import type { TaskModel } from '../models';
import { trace } from '../nn';
import { Evaluator, type EvaluatorOptions } from '../train/evaluate';

export class ModelEvaluator {
  private readonly evaluator: Evaluator;

  constructor(
    private readonly model: TaskModel,
    options: Omit<EvaluatorOptions, 'trace'>,
  ) {
    this.evaluator = new Evaluator({ ...options, trace: (o) => trace(model, o) });
  }

  /** Logits, in the order of the examples, and the loss where they have labels. */
  run(examples: readonly EncodedExample[], sizes: BatchSizes, signal?: AbortSignal): Promise<Evaluation> {
    return this.evaluator.run(sourceOf(this.model, examples, { ...sizes, shuffle: false }), signal);
  }

  /** Frees the program; the model stays. */
  dispose(): void {
    this.evaluator.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
