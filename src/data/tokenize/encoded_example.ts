/**
 * Examples as token ids, with the label that a loss takes: what comes out of src/data/tokenize and
 * goes into src/data/batch. The texts and words that they were are in src/data/examples/example.ts.
 */

/** A label that counts for nothing, as in PyTorch's cross entropy. */
export const IGNORE_LABEL = -100;

/** The token ids of one example with at most one kind of label. */
export interface EncodedExample {
  /** [n] token ids, special tokens included. */
  inputIds: Int32Array;
  /** [n] 0 for the first text, 1 for the second where the model tells them apart. */
  tokenTypeIds: Int32Array;
  /** Whether it is longer than the model takes, and tokens were left out. */
  cut?: true;
  /** Class index of the sequence. */
  label?: number;
  /** [numOutputs] regression targets of the sequence. */
  targets?: readonly number[];
  /** [n] class index of each token, {@link IGNORE_LABEL} for tokens without one. */
  tokenLabels?: Int32Array;
  /** Masked LM: the tokens to be predicted and what stood there. */
  masked?: { positions: Int32Array; labels: Int32Array };
}

/** An encoded sentence with the first piece of each of its words. */
export interface EncodedSentence extends EncodedExample {
  /** [words] index of each word's first token; -1 for a word that was cut off or has no pieces. */
  firstPieces: Int32Array;
}
