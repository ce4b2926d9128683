/**
 * fp32, bf16 or auto: what the operands of products are rounded to; their sums and all else are
 * fp32.
 * Set on a graph's products by rewrite/precision.ts.
 */
import { FusedLoraError } from '../base/errors';
import { native } from '../native';
import type { BackendName } from './parameter';

/**
 * fp32, or bf16: the operands of every product are rounded to bf16
 * (nearest, ties to even) and summed in fp32. Weights, gradients,
 * optimizer, attention, LayerNorm, softmax and loss are fp32 in both.
 */
export type Precision = 'fp32' | 'bf16';

/** auto: bf16 exactly where the device has instructions for it, else fp32. */
export type PrecisionOption = 'auto' | Precision;

export const PRECISIONS: readonly PrecisionOption[] = ['auto', 'fp32', 'bf16'];

/** Whether the device of a backend multiplies bf16 by instructions of its own. */
function hasBf16Instructions(backend: BackendName): boolean {
  return backend === 'cpu' && native().info().bf16;
}

/**
 * What `auto` stands for on this machine.
 *
 * @throws FusedLoraError INVALID_ARGUMENT for another name.
 */
export function choosePrecision(precision: PrecisionOption = 'auto', backend: BackendName = 'cpu'): Precision {
  if (!PRECISIONS.includes(precision)) {
    throw new FusedLoraError('INVALID_ARGUMENT', `precision is '${String(precision)}'; it must be auto, fp32 or bf16`);
  }
  if (precision !== 'auto') return precision;
  return hasBf16Instructions(backend) ? 'bf16' : 'fp32';
}
