/**
 * fp32, int8 or nf4: how the frozen weights of an encoder's layers are held and multiplied.
 * Formulas: native/ops/base_weights.h. Set on a graph's products by rewrite/base_weights.ts.
 */
import { FusedLoraError } from '../base/errors';
import type { BackendName } from './parameter';

/**
 * fp32: as `precision` says. int8: a code of 8 bits a weight and a scale an output channel;
 * activations are quantised by token as they are read. nf4: QLoRA's codes of 4 bits with scales
 * that are quantised again, expanded as they are read. Adapters, heads, embeddings, LayerNorms and
 * all gradients stay as they are, and so does what is saved.
 */
export type BaseWeights = 'fp32' | 'int8' | 'nf4';

export const BASE_WEIGHTS = ['fp32', 'int8', 'nf4'] as const satisfies readonly BaseWeights[];

/**
 * Checks an option.
 *
 * @throws FusedLoraError INVALID_ARGUMENT for another name; UNSUPPORTED where the backend has no
 * such products.
 */
export function checkedBaseWeights(baseWeights: BaseWeights = 'fp32', backend: BackendName = 'cpu'): BaseWeights {
  if (!BASE_WEIGHTS.includes(baseWeights)) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `baseWeights is '${String(baseWeights)}'; it must be one of ${BASE_WEIGHTS.join(', ')} (--base-weights)`,
    );
  }
  if (baseWeights !== 'fp32' && backend === 'cuda') {
    throw new FusedLoraError(
      'UNSUPPORTED',
      `baseWeights ${baseWeights} runs on the CPU, and the device is cuda: take device cpu (--device cpu), or leave baseWeights (--base-weights) out`,
    );
  }
  return baseWeights;
}
