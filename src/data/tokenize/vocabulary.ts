/**
 * What models share: tokens with their ids, read and checked, and the word that no token stands
 * for. The models are in word_models.ts, bpe.ts and unigram.ts.
 */
import { type Component, field, Refused, short } from './refused';

/** A model of tokenizer.json: words to ids. */
export interface TokenModel {
  readonly vocabulary: ReadonlyMap<string, number>;
  /** Entries of the vocabulary, where the first added token goes. Default: the size of the map. */
  readonly size?: number;
  /**
   * Ids of a word, which is not empty. @throws UnknownWord where the model has no token for what
   * it does not know.
   */
  tokenize(word: string): number[];
}

/**
 * More than any model has rows (XLM-V: 0.9 million), and few enough to make no table of nothing.
 */
const MAX_ID = 10_000_000;

/** A token's id, checked; `refused` makes an error of what is wrong. */
export function checkedId(id: unknown, token: string, refused: (problem: string) => Error): number {
  if (Number.isInteger(id) && (id as number) >= 0 && (id as number) < MAX_ID) return id as number;
  throw refused(`the id of ${JSON.stringify(token)} is ${short(id)}; expected a whole number from 0 to ${MAX_ID - 1}`);
}

/** The error of a part of tokenizer.json. */
export function refusedAt(where: string): (problem: string) => Refused {
  return (problem) => new Refused(`${where}: ${problem}`);
}

/** The `vocab` of a model that has it as an object. */
export function vocabularyOf(component: Pick<Component, 'fields' | 'where'>): Map<string, number> {
  const vocab = field(component, 'vocab', 'object') as Record<string, unknown>;
  const refused = refusedAt(component.where);
  // Pairs first, as Object.entries has them, would take twice the time.
  const ids = new Map<string, number>();
  for (const token of Object.keys(vocab)) ids.set(token, checkedId(vocab[token], token, refused));
  return ids;
}

/** A word that the model has no token for, not even one that says so; Python fails at it too. */
export class UnknownWord extends Error {
  constructor(word: string, token: string | undefined) {
    super(
      `no token stands for ${short(word)}${token === undefined ? '' : `: its unk_token "${token}" is not in its vocabulary`}`,
    );
  }
}

/** Ids of words by word, for words that come again and again. */
export class WordCache {
  private readonly words = new Map<string, number[]>();

  get(word: string): number[] | undefined {
    return this.words.get(word);
  }

  set(word: string, ids: number[]): void {
    if (word.length < 256 && this.words.size < 10_000) this.words.set(word, ids);
  }
}
