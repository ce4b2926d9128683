/** What the trainer and the evaluator need of data: batches of each epoch, by number. */
import type { BatchTensors } from '../graph/program';

export interface TrainBatch extends BatchTensors {
  /** Which examples are in it: named when its loss is not finite, and where evaluation puts the results. */
  exampleIndices: Int32Array;
  /** Rows that the loss is a mean over: the batch's weight among micro-batches. */
  lossRows: number;
}

/** The batches of one epoch, packed when they are asked for. */
export interface EpochBatches {
  /** Infinity until its end is known, where data can be read once alone. */
  readonly length: number;
  /** Number of the batch with the most tokens, where it is known: memory for it is had before the first step. */
  readonly largest?: number;
  /** Made when asked for, in order, so that an epoch is never in memory as a whole. */
  at(index: number): TrainBatch | Promise<TrainBatch>;
  /** Lets go of what reading holds (open files), when no more batches are asked for. */
  close?(): Promise<void>;
}

/** What a {@link Trainer} trains on: the batches of each epoch. */
export interface BatchSource {
  readonly numExamples: number;
  /** Whether there is one epoch alone, of a length that nobody knows before its end. Default false. */
  readonly singlePass?: boolean;
  /** Names the data and its order, so that a resumed run can tell that it still has the same. */
  readonly fingerprint: string;
  /** The batches of an epoch: a pure function of the seed and the epoch. */
  epoch(epoch: number): EpochBatches;
}
