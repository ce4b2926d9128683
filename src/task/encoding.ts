/** Labelled examples as batches for a model. */
import { EncodedSource, type SourceOptions } from '../data/batch/batch_source';
import type { EncodedExample } from '../data/batch/packing';
import { encodeExamples } from '../data/tokenize/encode';
import { encodeTokenExamples } from '../data/tokenize/encode_words';
import type { TaskModel } from '../models';
import { type Example, textExamples, tokenExamples } from './examples';
import { classIds, labelEncoder } from './labels';
import type { TextModel } from './text_model';

/**
 * Token ids and labels of a data set for a model.
 *
 * @param numbers of the examples in the data, for errors. Default: from 0.
 */
export async function encodeFor(
  { model, tokenizer, maxLength }: Pick<TextModel, 'model' | 'tokenizer' | 'maxLength'>,
  examples: readonly Example[],
  signal?: AbortSignal,
  numbers?: readonly number[],
): Promise<EncodedExample[]> {
  if (model.task === 'token-classification') {
    const label = classIds(model.labelNames);
    return encodeTokenExamples(tokenExamples(examples), tokenizer, { maxLength, label, signal, numbers });
  }
  const label = labelEncoder(model);
  return encodeExamples(textExamples(examples, model.task), tokenizer, { maxLength, label, signal, numbers });
}

/** Where a model's positions start and end. */
export function positionsOf(model: TaskModel): SourceOptions['positions'] {
  return { offset: model.positionOffset, maxPositions: model.config.maxPositionEmbeddings };
}

export interface BatchSizes {
  /** Sentences a batch; default 32 where no tokenBudget is given. */
  batchSize?: number | undefined;
  /** Most tokens a batch. */
  tokenBudget?: number | undefined;
}

/** Examples in the order of training (a function of the seed), or sorted by length for evaluation. */
export function sourceOf(
  model: TaskModel,
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
