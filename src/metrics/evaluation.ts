/**
 * What running a model over a data set gives, before anything is made of it. src/train/evaluate.ts
 * computes it; metrics (measure.ts), predictions and the error analysis are all read off it.
 */

/** Logits and loss of all examples. */
export interface Evaluation {
  /** Mean over all rows that count; NaN without labels. */
  loss: number;
  /**
   * Logits of each example: [classes] for a sequence classifier, [tokens × classes] for a token
   * classifier.
   */
  logits: Float32Array[];
  /** Outputs a row. */
  numOutputs: number;
}
