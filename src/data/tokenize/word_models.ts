/**
 * The models that look whole words or their beginnings up in a list: WordPiece (BERT) and
 * WordLevel. bpe.ts and unigram.ts have the others, model.ts chooses.
 */
import { type Component, field, Refused } from './refused';
import { type TokenModel, UnknownWord, vocabularyOf } from './vocabulary';

/** Of `max_input_chars_per_word`, which is 100: the time for a word grows with its square. */
const MOST_CHARACTERS = 1000;

/** Longest piece first, from the left; a word that does not come out whole is one unknown token. */
export class WordPiece implements TokenModel {
  readonly vocabulary: ReadonlyMap<string, number>;
  private readonly unknown: string;
  private readonly prefix: string;
  private readonly maxCharacters: number;
  /** Units of the longest token: no longer piece is looked for. */
  private longest = 0;

  constructor(component: Component) {
    this.vocabulary = vocabularyOf(component);
    this.unknown = field(component, 'unk_token', 'string');
    this.prefix = field(component, 'continuing_subword_prefix', 'string');
    this.maxCharacters = field(component, 'max_input_chars_per_word', 'count');
    if (this.maxCharacters > MOST_CHARACTERS) {
      throw new Refused(
        `${component.where}: its max_input_chars_per_word is ${this.maxCharacters}; ${MOST_CHARACTERS} is the limit`,
      );
    }
    for (const token of this.vocabulary.keys()) this.longest = Math.max(this.longest, token.length);
  }

  tokenize(word: string): number[] {
    if (word.length > this.maxCharacters && [...word].length > this.maxCharacters) return [this.unknownId(word)];
    const ids: number[] = [];
    for (let start = 0; start < word.length; ) {
      let end = Math.min(word.length, start + this.longest);
      if (end < word.length && isTrail(word.charCodeAt(end))) end--;
      let id: number | undefined;
      while (end > start) {
        const piece = word.slice(start, end);
        id = this.vocabulary.get(start > 0 ? this.prefix + piece : piece);
        if (id !== undefined) break;
        end -= isTrail(word.charCodeAt(end - 1)) ? 2 : 1;
      }
      if (id === undefined) return [this.unknownId(word)];
      ids.push(id);
      start = end;
    }
    return ids;
  }

  private unknownId(word: string): number {
    const id = this.vocabulary.get(this.unknown);
    if (id === undefined) throw new UnknownWord(word, this.unknown);
    return id;
  }
}

/** The second half of a character beyond U+FFFF. */
function isTrail(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}

/** A word is in the list, or unknown. */
export class WordLevel implements TokenModel {
  readonly vocabulary: ReadonlyMap<string, number>;
  private readonly unknown: string;

  constructor(component: Component) {
    this.vocabulary = vocabularyOf(component);
    this.unknown = field(component, 'unk_token', 'string');
  }

  tokenize(word: string): number[] {
    const id = this.vocabulary.get(word) ?? this.vocabulary.get(this.unknown);
    if (id === undefined) throw new UnknownWord(word, this.unknown);
    return [id];
  }
}
