/**
 * What a program is run on, and what trainer and evaluator need of data: the batches of each epoch,
 * by number. How a batch is laid out is in packing.ts, where its examples come from in
 * encoded_source.ts, masked_source.ts and streamed_source.ts.
 */
import type { Share } from '../../distributed/shares';
import type { BatchTensors } from '../../graph/program';

/**
 * Sequences end to end, without padding: T tokens, S sequences, M masked tokens. What
 * `packBatch` lays out has the tensors
 * - `inputIds`, `tokenTypeIds` [T]; `positionIds` [T], each token's position in its sequence plus
 *   the model's offset;
 * - `cuSeqlens` [S + 1], where sequence s is tokens cuSeqlens[s] to cuSeqlens[s + 1]; `firstToken`
 *   [S], its classification token;
 * - `labels`: class index of each sequence [S], of each token [T], or of each masked token [M]; or
 *   `targets` [S * numOutputs];
 * - `rowIndex` [M], masked LM: the tokens with a label.
 */
export interface Batch extends BatchTensors {
  /**
   * [S] which examples are in it: named when its loss is not finite, and where evaluation puts the
   * results.
   */
  exampleIndices: Int32Array;
  /** Rows that the loss is a mean over: the batch's weight among micro-batches. */
  lossRows: number;
}

/** The batches of one epoch, packed when they are asked for. */
export interface EpochBatches {
  /** Infinity until its end is known, where data can be read once alone. */
  readonly length: number;
  /**
   * Number of the batch with the most tokens, where it is known: memory for it is had before the
   * first step.
   */
  readonly largest?: number;
  /** Made when asked for, in order, so that an epoch is never in memory as a whole. */
  at(index: number): Batch | Promise<Batch>;
  /**
   * A share of a batch; undefined where no sequence falls to it. Absent: batches of this source
   * have no shares.
   */
  shareAt?(index: number, share: Share): Batch | undefined | Promise<Batch | undefined>;
  /** Lets go of what reading holds (open files), when no more batches are asked for. */
  close?(): Promise<void>;
}

/** What a `Trainer` trains on: the batches of each epoch. */
export interface BatchSource {
  readonly numExamples: number;
  /**
   * Whether there is one epoch alone, of a length that nobody knows before its end. Default false.
   */
  readonly singlePass?: boolean;
  /** Names the data and its order, so that a resumed run can tell that it still has the same. */
  readonly fingerprint: string;
  /** The batches of an epoch: a pure function of the seed and the epoch. */
  epoch(epoch: number): EpochBatches;
}
