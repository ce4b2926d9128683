/**
 * Logits of one example that are numbers, or an error that names example and adapter. Of batches
 * with several adapters: mixed_evaluator.ts and shared_evaluator.ts; of one: src/train/evaluate.ts.
 */
import { FusedLoraError } from '../base/errors';

/**
 * @param adapter undefined: the base with its own head.
 * @param example counted from 0.
 * @throws FusedLoraError NON_FINITE_LOSS.
 */
export function finite(logits: Float32Array, adapter: string | undefined, example: number): Float32Array {
  if (logits.every(Number.isFinite)) return logits;
  const of = adapter === undefined ? 'the base' : `adapter "${adapter}"`;
  throw new FusedLoraError(
    'NON_FINITE_LOSS',
    `the outputs of ${of} for example ${example} (counted from 0) hold NaN or infinite values. Its weights hold such values, ` +
      'or are too large: train it again with a smaller learning rate, or fetch it again.',
  );
}
