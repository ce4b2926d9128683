/**
 * The batches of a data set for a model: which source it gets, in memory or streamed, and how large
 * batches are. The data themselves are opened in src/data/read/training_data.ts; the sources are in
 * the files beside this one.
 */
import type { Example } from '../examples/example';
import { isStream, type TrainingData } from '../read/training_data';
import { encodeFor, type TaskEncoder } from '../tokenize/encode_for_task';
import type { EncodedExample } from '../tokenize/encoded_example';
import type { BatchSource } from './batch';
import { EncodedSource } from './encoded_source';
import type { PositionRule } from './packing';
import { StreamedSource, type StreamOptions } from './streamed_source';

/** What a layout must know of a model: a TaskModel is one. */
export interface PositionedModel {
  readonly positionOffset: number;
  readonly config: { readonly maxPositionEmbeddings: number };
}

/** Where a model's positions start and end. */
export function positionsOf(model: PositionedModel): PositionRule {
  return { offset: model.positionOffset, maxPositions: model.config.maxPositionEmbeddings };
}

export interface BatchSizes {
  /** Sentences a batch; default 32 where no tokenBudget is given. */
  batchSize?: number | undefined;
  /** Most tokens a batch. */
  tokenBudget?: number | undefined;
}

/**
 * Examples in the order of training (a function of the seed), or sorted by length for evaluation.
 */
export function sourceOf(
  model: PositionedModel,
  examples: readonly EncodedExample[],
  { batchSize, tokenBudget, ...order }: BatchSizes & { seed?: number; shuffle?: boolean },
): EncodedSource {
  return new EncodedSource(examples, {
    positions: positionsOf(model),
    ...order,
    ...(batchSize !== undefined && { batchSize }),
    ...(tokenBudget !== undefined && { tokenBudget }),
  });
}

/** How many of the examples are longer than the model takes. */
export function numberCut(examples: readonly EncodedExample[]): number {
  return examples.filter(({ cut }) => cut).length;
}

/**
 * The batches that a model is trained on, and how many examples were cut: undefined where nobody
 * has seen them yet.
 */
export async function sourceOfTraining(
  { train }: TrainingData,
  textModel: TaskEncoder & { model: PositionedModel },
  options: BatchSizes & { seed: number; shuffleWindow?: number | undefined },
  signal: AbortSignal | undefined,
): Promise<{ source: BatchSource & { lengthsOfExamples(): Iterable<number> }; cut: number | undefined }> {
  const { shuffleWindow, ...sizes } = options;
  if (!isStream(train)) {
    const encoded = await encodeFor(textModel, train, signal);
    return { source: sourceOf(textModel.model, encoded, sizes), cut: numberCut(encoded) };
  }
  let cut = 0;
  const encode = async (examples: readonly Example[], numbers: readonly number[]) => {
    const encoded = await encodeFor(textModel, examples, signal, numbers);
    cut += numberCut(encoded);
    return encoded;
  };
  const { batchSize, tokenBudget, seed } = sizes;
  const settings: StreamOptions = {
    positions: positionsOf(textModel.model),
    seed,
    signal,
    ...(batchSize !== undefined && { batchSize }),
    ...(tokenBudget !== undefined && { tokenBudget }),
    ...(shuffleWindow !== undefined && { shuffleWindow }),
  };
  if (!train.replayable) {
    return { source: await StreamedSource.once(train.shards[0]!, encode, settings), cut: undefined };
  }
  const source = await StreamedSource.open(train.shards, encode, settings);
  // All have been passed over once by now; what is counted later is the same again.
  return { source, cut };
}
