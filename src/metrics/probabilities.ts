/**
 * From logits to probabilities, and from those to the labels that a text has: softmax, sigmoid,
 * thresholds. What a whole prediction looks like is in predictions.ts; the same functions on a
 * device, for losses, are ops in src/graph/ops.
 */
import { FusedLoraError } from '../base/errors';

/** exp(x) / Σ exp(x), in float64, and where it is largest. */
export function softmax(logits: Float32Array): { best: number; probabilities: number[] } {
  const most = Math.max(...logits);
  const exponentials = Array.from(logits, (x) => Math.exp(x - most));
  const sum = exponentials.reduce((total, x) => total + x, 0);
  return { best: logits.indexOf(most), probabilities: exponentials.map((x) => x / sum) };
}

/** ln p of each class. In float64, so that a loss is exact where p is too small for a number. */
export function logSoftmax(logits: Float32Array): { best: number; log: number[] } {
  const most = Math.max(...logits);
  const logSum = most + Math.log(logits.reduce((sum, x) => sum + Math.exp(x - most), 0));
  return { best: Math.max(0, logits.indexOf(most)), log: Array.from(logits, (x) => x - logSum) };
}

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
