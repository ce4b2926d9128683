/**
 * Texts of a request as token ids of the model that answers, within the server's limits; for
 * classifiers of words, with the place of each word in its text. What is read off the outputs is in
 * answers.ts.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { TruncationSide } from '../data/tokenize/truncate';
import { encodeForEmbedding, promptOf } from '../task/embed/embedder';
import type { LaneItem } from './lane';
import { notPossible, ServeError, tooLarge } from './serve_error';
import type { ServedEmbedding, ServedModel } from './served_model';

/** One text, or a pair. */
export interface Input {
  text: string;
  pair?: string | undefined;
}

/** How texts are encoded. */
export interface EncodeForm {
  /** Whether a text that is too long is cut; else it is an error. */
  truncate: boolean;
  /** Default: the model's. */
  truncationSide?: TruncationSide | undefined;
  /** Of embeddings. Default: the model's default prompt. */
  promptName?: string | undefined;
}

/** A word of a text: its characters are text.slice(start, end), in UTF-16 code units. */
export interface Word {
  word: string;
  start: number;
  end: number;
}

/** A text for a lane, with what its answer is made from. */
export interface EncodedInput {
  item: LaneItem;
  tokens: number;
  /** Of classifiers of words: the words, and the first token of each (-1: none). */
  words?: readonly Word[] | undefined;
  firstPieces?: Int32Array | undefined;
}

export interface Limits {
  maxTexts: number;
  maxCharacters: number;
}

/** The event loop turns where encoding takes longer than this. */
const TURN_MS = 20;
const MARK = /^[\p{P}\p{S}]$/u;

/**
 * The words of a text: what blanks divide, without the punctuation at their ends, of which each
 * mark is a word of its own, as in CoNLL's files. A full stop stays with a word that has another
 * one inside: `U.N.`.
 */
export function wordsOf(text: string): Word[] {
  const words: Word[] = [];
  for (const { 0: piece, index } of text.matchAll(/\S+/g)) {
    // In code points with their places: marks may be of two code units.
    const points = [...piece];
    const at = [index];
    for (const point of points) at.push((at.at(-1) as number) + point.length);
    const isMark = points.map((point) => MARK.test(point));
    let [first, last] = [0, points.length];
    while (first < last && isMark[first]) first++;
    while (last > first && isMark[last - 1]) last--;
    if (points[last] === '.' && points.slice(first, last).includes('.')) last++;
    const add = (from: number, to: number) => {
      const word = { word: points.slice(from, to).join(''), start: at[from] as number, end: at[to] as number };
      if (to > from) words.push(word);
    };
    for (let i = 0; i < first; i++) add(i, i + 1);
    add(first, last);
    for (let i = last; i < points.length; i++) add(i, i + 1);
  }
  return words;
}

/** @throws ServeError 400 for no texts, 413 for too many or too long ones. */
export function checkLimits(inputs: readonly Input[], { maxTexts, maxCharacters }: Limits): void {
  if (inputs.length === 0) throw new ServeError(400, 'empty', 'there is no text');
  if (inputs.length > maxTexts) throw tooLarge(`there are ${inputs.length} texts, and a request may have ${maxTexts}`);
  inputs.forEach(({ text, pair = '' }, i) => {
    if (text.length + pair.length <= maxCharacters) return;
    throw tooLarge(`text ${i} has ${text.length + pair.length} characters, and a text may have ${maxCharacters}`);
  });
}

/**
 * Token ids of the texts of a request; the event loop turns now and then.
 *
 * @throws ServeError 413 for a text that is too long and must not be cut; 422.
 */
export async function encodeInputs(
  model: ServedModel,
  inputs: readonly Input[],
  form: EncodeForm,
): Promise<EncodedInput[]> {
  const encode = encoderFor(model, form);
  const encoded: EncodedInput[] = [];
  let since = performance.now();
  for (const [i, input] of inputs.entries()) {
    encoded.push(encode(input, i));
    if (performance.now() - since < TURN_MS) continue;
    await nextTurn();
    since = performance.now();
  }
  return encoded;
}

function encoderFor(model: ServedModel, form: EncodeForm): (input: Input, index: number) => EncodedInput {
  if (model.kind === 'embedding') return embeddingEncoder(model, form);
  const { key, tokenizer, maxLength } = model;
  const side = form.truncationSide ?? model.truncationSide;
  const { most, check } = lengthRule(maxLength, form);
  if (model.task === 'token-classification') {
    return ({ text, pair }, index) => {
      if (pair !== undefined)
        throw notPossible(`text ${index} is a pair, and "${model.name}" labels words of one text`);
      const words = wordsOf(text);
      const { inputIds, tokenTypeIds, wordIds } = tokenizer.encodeWords(
        words.map(({ word }) => word),
        most,
        side,
      );
      check(inputIds.length, index);
      const firstPieces = new Int32Array(words.length).fill(-1);
      wordIds.forEach((word, t) => {
        if (word >= 0 && firstPieces[word] === -1) firstPieces[word] = t;
      });
      return { item: { key, example: { inputIds, tokenTypeIds } }, tokens: inputIds.length, words, firstPieces };
    };
  }
  return ({ text, pair }, index) => {
    const { inputIds, tokenTypeIds } = tokenizer.encode(text, { pair, maxLength: most, truncationSide: side });
    check(inputIds.length, index);
    return { item: { key, example: { inputIds, tokenTypeIds } }, tokens: inputIds.length };
  };
}

function embeddingEncoder(model: ServedEmbedding, form: EncodeForm): (input: Input, index: number) => EncodedInput {
  const { key, embedding, maxLength } = model;
  const prompts = Object.keys(embedding.settings.prompts);
  if (form.promptName !== undefined && !prompts.includes(form.promptName)) {
    throw notPossible(`"${model.name}" has no prompt "${form.promptName}"; it has: ${prompts.join(', ') || 'none'}`);
  }
  const prompt = promptOf(embedding, { promptName: form.promptName });
  const { check } = lengthRule(maxLength, form);
  return ({ text, pair }, index) => {
    if (pair !== undefined) throw notPossible(`text ${index} is a pair, and an embedding is of one text`);
    const { example, promptTokens } = encodeForEmbedding(embedding, text, prompt);
    if (example.cut) check(maxLength + 1, index);
    return { item: { key, example, promptTokens }, tokens: example.inputIds.length };
  };
}

/** One token more than fits shows that a text is too long. */
function lengthRule(maxLength: number, { truncate }: EncodeForm) {
  return {
    most: truncate ? maxLength : maxLength + 1,
    check: (length: number, index: number) => {
      if (truncate || length <= maxLength) return;
      throw tooLarge(`text ${index} has more than ${maxLength} tokens, and "truncate" is false`);
    },
  };
}
