/**
 * What a random subspace of a model's weights is: its dimension, DID or SAID, and the seeds that it
 * is drawn by. The point in it is subspace.ts; its folder files.ts.
 */
import { FusedLoraError } from '../base/errors';

/**
 * did: one projection for all weights. said: each layer has a factor of its own, learnt with the
 * point, and counted in the dimension.
 */
export const SUBSPACE_STRUCTURES = ['did', 'said'] as const;
/** One of {@link SUBSPACE_STRUCTURES}. */
export type SubspaceStructure = (typeof SUBSPACE_STRUCTURES)[number];

/** Of a subspace that is trained in. */
export interface SubspaceConfig {
  /** How many numbers are learnt. */
  dimension: number;
  structure: SubspaceStructure;
  /** Of the projection. */
  seed: number;
}

/** More than any processor's memory has use for, and what the op takes. */
const MOST_DIMENSION = 2 ** 26;

/** @throws FusedLoraError INVALID_ARGUMENT. */
export function checkSubspace({ dimension, structure }: Pick<SubspaceConfig, 'dimension' | 'structure'>): void {
  if (!SUBSPACE_STRUCTURES.includes(structure)) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `the structure of the subspace is ${JSON.stringify(structure)}; it must be ${SUBSPACE_STRUCTURES.join(' or ')}`,
    );
  }
  if (!(Number.isSafeInteger(dimension) && dimension >= 1 && dimension <= MOST_DIMENSION)) {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      `the dimension of the subspace is ${String(dimension)}; it must be a whole number from 1 to ${MOST_DIMENSION}`,
    );
  }
}
