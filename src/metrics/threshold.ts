/** From logits of labels that exclude no other to the labels that a text has. */
import { FusedLoraError } from '../base/errors';

/** A label counts as there where its probability is above this. */
export const DEFAULT_THRESHOLD = 0.5;

/** @throws FusedLoraError INVALID_ARGUMENT unless it is a number from 0 to 1, both left out. */
export function checkedThreshold(threshold: number = DEFAULT_THRESHOLD): number {
  if (threshold > 0 && threshold < 1) return threshold;
  throw new FusedLoraError('INVALID_ARGUMENT', `threshold is ${threshold}; it must be above 0 and below 1`);
}

/** 1 / (1 + exp(-x)) of each logit, in float64. */
export function sigmoid(logits: Float32Array): number[] {
  return Array.from(logits, (x) => 1 / (1 + Math.exp(-x)));
}

/** 1 for each label whose probability is above the threshold, else 0. */
export function exceeds(logits: Float32Array, threshold: number): number[] {
  return sigmoid(logits).map((probability) => (probability > threshold ? 1 : 0));
}
