/**
 * A data set as token ids with the labels of a model's task, whichever it is. Texts are encoded in
 * encode.ts and sentences in words in encode_words.ts; how labels become ids is in
 * src/data/examples/labels.ts.
 */
import type { TaskSettings } from '../../base/tasks';
import { type Example, isTokenExample, textExamples, tokenExamples } from '../examples/example';
import { classIds, labelEncoder, listFormOf } from '../examples/labels';
import { encodeExamples, isEmptyText, type TextEncoder } from './encode';
import { encodeTokenExamples, type WordEncoder } from './encode_words';
import type { EncodedExample } from './encoded_example';
import type { TruncationSide } from './truncate';

/** What encoding for a task needs to know: a TextModel is one. */
export interface TaskEncoder {
  model: TaskSettings;
  tokenizer: TextEncoder & WordEncoder;
  /** Most tokens of an example, special tokens counted. */
  maxLength: number;
  /** Where they are cut. Default: the tokenizer's. */
  truncationSide?: TruncationSide;
}

/**
 * Token ids and labels of a data set for a model.
 *
 * @param numbers of the examples in the data, for errors. Default: from 0.
 * @param emptyTexts what a text without a word is: an error, or measured like any other.
 */
export async function encodeFor(
  { model, tokenizer, maxLength, truncationSide }: TaskEncoder,
  examples: readonly Example[],
  signal?: AbortSignal,
  numbers?: readonly number[],
  emptyTexts?: 'refuse' | 'take',
): Promise<EncodedExample[]> {
  const shared = { maxLength, truncationSide, signal, numbers };
  if (model.task === 'token-classification') {
    const label = classIds(model.labelNames);
    return encodeTokenExamples(tokenExamples(examples), tokenizer, { ...shared, label });
  }
  const texts = textExamples(examples, model.task);
  const several = model.task === 'multi-label-classification';
  const label = labelEncoder(model, several ? listFormOf(texts, model.numLabels, numbers?.[0]) : undefined);
  return encodeExamples(texts, tokenizer, { ...shared, label, emptyTexts });
}

/**
 * A line about the texts of a data set that are measured though they are empty; undefined where
 * none is.
 */
export function noteOnEmptyTexts(examples: readonly Example[]): string | undefined {
  const empty = [...examples.entries()].filter(([, example]) => !isTokenExample(example) && isEmptyText(example));
  if (empty.length === 0) return undefined;
  const [[number, { place = `example ${number}` }]] = empty as [[number, Example]];
  const more = empty.length > 1 ? ` (and ${empty.length - 1} more)` : '';
  return `${place}${more}: its text is empty; it is measured all the same`;
}
