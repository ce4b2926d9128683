/**
 * Texts and pairs as token ids, a whole data set in its order.
 * The tokenizer itself is tokenizer.ts; sentences in words are encoded in encode_words.ts.
 */
import { setImmediate } from 'node:timers/promises';
import { FusedLoraError } from '../../base/errors';
import type { TextExample } from '../examples/example';
import type { EncodedExample } from './encoded_example';
import type { TruncationSide } from './truncate';

/** What encoding needs of a tokenizer. */
export interface TextEncoder {
  /** Token ids with special tokens, cut to `maxLength`. */
  encode(
    text: string,
    options: { pair?: string | undefined; maxLength: number; truncationSide?: TruncationSide | undefined },
  ): { inputIds: Int32Array; tokenTypeIds: Int32Array };
}

/** Of {@link encodeExamples}. */
export interface EncodeOptions {
  /** Most tokens of an example, special tokens counted; longer ones are cut. */
  maxLength: number;
  /** Where they are cut. Default: the tokenizer's. */
  truncationSide?: TruncationSide | undefined;
  /**
   * Turns labels into class ids or targets; throws for those it does not know. Default: labels are
   * left out.
   */
  label?: (example: TextExample, place: string) => Pick<EncodedExample, 'label' | 'targets'>;
  /**
   * Of a labelled text that is empty: an error, as in training, or encoded like any other, as a
   * prediction is. Default refuse.
   */
  emptyTexts?: 'refuse' | 'take' | undefined;
  /** Numbers of the examples in the data, for errors. Default: from 0. */
  numbers?: readonly number[] | undefined;
  signal?: AbortSignal | undefined;
}

/** Examples between two looks at the signal; the event loop turns there. */
const CHUNK = 256;
/** And the most time, from the end of the text under way. */
const CHUNK_MS = 100;

/**
 * The encoded form of every example, in their order; the event loop turns now and then.
 *
 * @throws FusedLoraError ABORTED.
 */
export async function inChunks<T, U>(
  examples: readonly T[],
  signal: AbortSignal | undefined,
  encode: (example: T, index: number) => U,
): Promise<U[]> {
  const encoded: U[] = [];
  let looked = performance.now();
  for (const [i, example] of examples.entries()) {
    // Texts may be long, and the patterns of a tokenizer slow.
    if (i % CHUNK === 0 || performance.now() - looked > CHUNK_MS) {
      await setImmediate();
      looked = performance.now();
      if (signal?.aborted) {
        throw new FusedLoraError('ABORTED', 'stopped while texts were encoded', { cause: signal.reason });
      }
    }
    encoded.push(encode(example, i));
  }
  return encoded;
}

/** Whether there is nothing to read in a text, or in both of a pair. */
export function isEmptyText({ text, textPair = '' }: Pick<TextExample, 'text' | 'textPair'>): boolean {
  return text.trim() === '' && textPair.trim() === '';
}

/**
 * Encodes a data set, in its order.
 *
 * @throws FusedLoraError INVALID_DATA naming the row for a text that is no string, a labelled one
 * that is empty, or a label that is not known; ABORTED.
 */
export async function encodeExamples(
  examples: readonly TextExample[],
  tokenizer: TextEncoder,
  options: EncodeOptions,
): Promise<EncodedExample[]> {
  return inChunks(examples, options.signal, (example, i) => {
    const place = example.place ?? `example ${options.numbers?.[i] ?? i}`;
    for (const [what, text] of [
      ['text', example.text],
      ['second text', example.textPair ?? ''],
    ]) {
      if (typeof text === 'string') continue;
      throw new FusedLoraError('INVALID_DATA', `${place}: its ${what} is ${typeof text}; it must be a string`);
    }
    // Nothing can be learnt from it.
    if (options.label && options.emptyTexts !== 'take' && isEmptyText(example)) {
      throw new FusedLoraError('INVALID_DATA', `${place}: its text is empty; fill it, or leave the row out`);
    }
    const { maxLength, truncationSide } = options;
    const encode = (most: number) =>
      tokenizer.encode(example.text, { pair: example.textPair, maxLength: most, truncationSide });
    const { inputIds, tokenTypeIds } = encode(maxLength);
    // A text of just this length is told from a longer one by one token more.
    const cut = inputIds.length === maxLength && encode(maxLength + 1).inputIds.length > maxLength;
    return { inputIds, tokenTypeIds, ...(cut && { cut: true as const }), ...options.label?.(example, place) };
  });
}
