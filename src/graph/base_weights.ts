/**
 * fp32, int8 or nf4: how the frozen weights of an encoder's layers are held and multiplied.
 * Formulas: native/ops/base_weights.h. Set on a graph's products by rewrite/base_weights.ts.
 */
import { FusedLoraError } from '../base/errors';

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
 * @throws FusedLoraError INVALID_ARGUMENT for another name.
 */
export function checkedBaseWeights(baseWeights: BaseWeights = 'fp32'): BaseWeights {
  if (!BASE_WEIGHTS.includes(baseWeights)) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `baseWeights is '${String(baseWeights)}'; it must be one of ${BASE_WEIGHTS.join(', ')} (--base-weights)`,
    );
  }
  return baseWeights;
}
