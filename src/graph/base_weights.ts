/**
 * How the frozen weights of an encoder are held: of its layers in fp32, int8 or nf4, of its word
 * embeddings in fp32 or int8.
 * Formulas: native/ops/base_weights.h, embedding.h. Set on a graph by rewrite/base_weights.ts.
 */
import { FusedLoraError } from '../base/errors';

/**
 * fp32: as `precision` says. int8: a code of 8 bits a weight and a scale an output channel;
 * activations are quantised by token as they are read. nf4: QLoRA's codes of 4 bits with scales
 * that are quantised again, expanded as they are read. Adapters, heads, embeddings, LayerNorms and
 * all gradients stay as they are, and so does what is saved.
 */
export type BaseWeights = 'fp32' | 'int8' | 'nf4';

/**
 * Of frozen word embeddings. int8: a code of 8 bits a value and a scale a row; the rows of a text
 * are expanded as they are looked up.
 */
export type EmbeddingWeights = 'fp32' | 'int8';

export const BASE_WEIGHTS = ['fp32', 'int8', 'nf4'] as const satisfies readonly BaseWeights[];

export const EMBEDDING_WEIGHTS = ['fp32', 'int8'] as const satisfies readonly EmbeddingWeights[];

/** The two options that say how frozen weights are held. */
export interface HeldWeights {
  /** Of the frozen weights of layers. Default fp32: as `precision` says. */
  baseWeights?: BaseWeights | undefined;
  /** Of the frozen word embeddings. Default fp32. */
  embeddingWeights?: EmbeddingWeights | undefined;
}

/**
 * Checks both options, and fills in what is not given.
 *
 * @throws FusedLoraError INVALID_ARGUMENT for another name.
 */
export function checkedHeldWeights(options: HeldWeights): { [K in keyof HeldWeights]-?: NonNullable<HeldWeights[K]> } {
  const { embeddingWeights = 'fp32' } = options;
  if (!EMBEDDING_WEIGHTS.includes(embeddingWeights)) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `embeddingWeights is '${String(embeddingWeights)}'; it must be one of ${EMBEDDING_WEIGHTS.join(', ')} (--embedding-weights)`,
    );
  }
  return { baseWeights: checkedBaseWeights(options.baseWeights), embeddingWeights };
}

/** For people: ', base weights int8, embeddings int8', or nothing. */
export function describeHeldWeights({ baseWeights = 'fp32', embeddingWeights = 'fp32' }: HeldWeights): string {
  const layers = baseWeights === 'fp32' ? '' : `, base weights ${baseWeights}`;
  return embeddingWeights === 'fp32' ? layers : `${layers}, embeddings ${embeddingWeights}`;
}

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
