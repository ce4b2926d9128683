/**
 * What an example is, and which kind each task takes: a text (or pair) with a label, or a sentence
 * in words with a label each. Where examples come from is in src/data/read; what their labels mean
 * to a model is in labels.ts beside this file.
 */
import { FusedLoraError } from '../../base/errors';
import type { Task } from '../../base/tasks';

/** One text, or pair of texts, as a data file or the caller has it. */
export interface TextExample {
  text: string;
  textPair?: string | undefined;
  /**
   * A class name or number; for regression a number or several; for multi-label classification a
   * list of names or numbers.
   */
  label?: string | number | readonly (string | number)[] | undefined;
  /**
   * Of predictions: the adapter that answers for this text, of those on the model; null: none.
   * Default: the active one.
   */
  adapter?: string | null | undefined;
  /** Where it stands, for errors: `train.tsv:17`. Default: its number in the list. */
  place?: string | undefined;
}

/** One sentence in words, as a data file or the caller has it. */
export interface TokenExample {
  tokens: readonly string[];
  /** One a word: a label name, or a class id. */
  labels?: readonly (string | number)[] | undefined;
  /** As in {@link TextExample}. */
  adapter?: string | null | undefined;
  /** Where it stands, for errors: `train.jsonl:17`. Default: its number in the list. */
  place?: string | undefined;
}

/**
 * A text (or pair) with at most one label, or a sentence in words with a label for each: the latter
 * for token-classification.
 */
export type Example = TextExample | TokenExample;

export function isTokenExample(example: Example): example is TokenExample {
  return 'tokens' in example;
}

/**
 * @throws FusedLoraError INVALID_DATA where an example is no object, which only a caller without
 * types can bring about.
 */
export function requireObject(example: unknown, index: number): void {
  if (typeof example === 'object' && example !== null) return;
  throw new FusedLoraError(
    'INVALID_DATA',
    `example ${index}: is ${example === null ? 'null' : typeof example}, expected a text or an object such as { text: '...' }`,
  );
}

function refuse(example: Example, index: number, task: Task, has: string, needs: string): never {
  throw new FusedLoraError(
    'INVALID_DATA',
    `${example.place ?? `example ${index}`}: has ${has}, but ${task} needs ${needs}. Was another task meant?`,
  );
}

/** @throws FusedLoraError INVALID_DATA for a row in words. */
export function textExamples(examples: readonly Example[], task: Task, first = 0): readonly TextExample[] {
  examples.forEach((example, i) => {
    requireObject(example, first + i);
    if (isTokenExample(example)) refuse(example, first + i, task, 'a list of tokens', 'a text');
  });
  return examples as readonly TextExample[];
}

/** @throws FusedLoraError INVALID_DATA for a row that is a text. */
export function tokenExamples(examples: readonly Example[], first = 0): readonly TokenExample[] {
  examples.forEach((example, i) => {
    requireObject(example, first + i);
    if (!isTokenExample(example))
      refuse(example, first + i, 'token-classification', 'a text', 'its words: tokens, a list');
  });
  return examples as readonly TokenExample[];
}

/**
 * @param first number of the first example in the data.
 * @throws FusedLoraError INVALID_DATA for a row of the other kind.
 */
export function checkExamples(task: Task, examples: readonly Example[], first = 0): void {
  if (task === 'token-classification') tokenExamples(examples, first);
  else textExamples(examples, task, first);
}
