/**
 * Sentences in words as token ids with a label on the first piece of each word.
 * Texts are encoded in encode.ts; scores over words are in src/metrics/measure.ts.
 */
import { FusedLoraError } from '../../base/errors';
import { shown } from '../../base/shown';
import type { TokenExample } from '../examples/example';
import { isIgnoredLabel } from '../examples/label_names';
import { inChunks } from './encode';
import { type EncodedSentence, IGNORE_LABEL } from './encoded_example';
import type { TruncationSide } from './truncate';

/** What encoding needs of a tokenizer. */
export interface WordEncoder {
  /**
   * Token ids with special tokens, cut to `maxLength`, and the word that each is a piece of (-1:
   * none).
   */
  encodeWords(
    words: readonly string[],
    maxLength: number,
    truncationSide?: TruncationSide,
  ): { inputIds: Int32Array; tokenTypeIds: Int32Array; wordIds: Int32Array };
}

/** Of {@link encodeTokenExamples}. */
export interface EncodeWordsOptions {
  /** Most tokens of a sentence, special tokens counted; what is beyond is cut. */
  maxLength: number;
  /** Where they are cut. Default: the tokenizer's. */
  truncationSide?: TruncationSide | undefined;
  /**
   * Turns a word's label into a class id; throws for those it does not know. Not asked of -100.
   * Default: labels are left out.
   */
  label?: (label: string | number, place: string) => number;
  /** Numbers of the sentences in the data, for errors. Default: from 0. */
  numbers?: readonly number[] | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Encodes sentences in words, in their order. The first piece of a word has its label; other pieces
 * and special tokens have
 * {@link IGNORE_LABEL}, as in transformers' run_ner.
 *
 * @throws FusedLoraError INVALID_DATA naming the row: a word that is no string, labels of another
 * number or not known; ABORTED.
 */
export async function encodeTokenExamples(
  examples: readonly TokenExample[],
  tokenizer: WordEncoder,
  options: EncodeWordsOptions,
): Promise<EncodedSentence[]> {
  return inChunks(examples, options.signal, (example, i) => {
    const place = example.place ?? `example ${options.numbers?.[i] ?? i}`;
    const { tokens, labels } = checked(example, place);
    const { maxLength, truncationSide } = options;
    const encode = (most: number) => tokenizer.encodeWords(tokens, most, truncationSide);
    const { wordIds, inputIds, tokenTypeIds } = encode(maxLength);
    const cut = inputIds.length === maxLength && encode(maxLength + 1).inputIds.length > maxLength;
    const encoded = { inputIds, tokenTypeIds, ...(cut && { cut: true as const }) };
    const firstPieces = new Int32Array(tokens.length).fill(-1);
    wordIds.forEach((word, t) => {
      if (word >= 0 && firstPieces[word] === -1) firstPieces[word] = t;
    });
    if (!options.label) return { ...encoded, firstPieces };
    if (!labels) throw new FusedLoraError('INVALID_DATA', `${place}: has no labels; give every word one`);
    const tokenLabels = new Int32Array(encoded.inputIds.length).fill(IGNORE_LABEL);
    labels.forEach((label, word) => {
      if (isIgnoredLabel(label)) return;
      // Words that were cut off have labels too, which must be known all the same.
      const id = options.label?.(label, `${place}, word ${word} ("${tokens[word]}")`) as number;
      const t = firstPieces[word] as number;
      if (t >= 0) tokenLabels[t] = id;
    });
    return { ...encoded, firstPieces, tokenLabels };
  });
}

function checked({ tokens, labels }: TokenExample, place: string): Pick<TokenExample, 'tokens' | 'labels'> {
  if (!Array.isArray(tokens)) {
    throw new FusedLoraError('INVALID_DATA', `${place}: its tokens are ${shown(tokens)}; expected a list of words`);
  }
  const wrong = tokens.findIndex((token) => typeof token !== 'string');
  if (wrong >= 0) {
    throw new FusedLoraError('INVALID_DATA', `${place}: word ${wrong} is ${typeof tokens[wrong]}; it must be a string`);
  }
  if (labels && labels.length !== tokens.length) {
    throw new FusedLoraError('INVALID_DATA', `${place}: has ${tokens.length} words and ${labels.length} labels`);
  }
  return { tokens, labels };
}
