/**
 * SentencePiece's unigram language model (Kudo 2018): the way to cut a word whose pieces have the
 * largest sum of scores. XLM-R's model. Its texts are normalized by precompiled_charsmap.ts.
 */
import { bytesOf } from './bpe';
import { type Component, field, Refused, short } from './refused';
import { type TokenModel, UnknownWord, WordCache } from './vocabulary';

/** What a character that is no piece costs, below the lowest score. */
const UNKNOWN_PENALTY = 10;

export class Unigram implements TokenModel {
  readonly vocabulary: ReadonlyMap<string, number>;
  readonly size: number;
  private readonly scores: number[];
  private readonly unknown: number | undefined;
  private readonly unknownScore: number;
  private readonly byteFallback: boolean;
  private readonly pieces: SortedPieces;
  private readonly cache = new WordCache();

  constructor(component: Component) {
    const { fields, where } = component;
    const entries = field(component, 'vocab', 'list').map((entry, i) => {
      const [piece, score] = Array.isArray(entry) ? entry : [];
      if (typeof piece === 'string' && typeof score === 'number') return [piece, score] as const;
      throw new Refused(`${where}: entry ${i} of its vocab is ${short(entry)}; expected [piece, score]`);
    });
    this.size = entries.length;
    this.vocabulary = new Map(entries.map(([piece], id) => [piece, id]));
    this.scores = entries.map(([, score]) => score);
    this.unknown = (fields['unk_id'] ?? undefined) === undefined ? undefined : field(component, 'unk_id', 'count');
    if (this.unknown !== undefined && this.unknown >= this.size) {
      throw new Refused(`${where}: its unk_id is ${this.unknown}, and its vocab has ${this.size} entries`);
    }
    this.unknownScore = this.scores.reduce((least, score) => Math.min(least, score), Infinity) - UNKNOWN_PENALTY;
    this.byteFallback = field(component, 'byte_fallback', 'boolean', false);
    this.pieces = new SortedPieces([...this.vocabulary.keys()]);
  }

  tokenize(word: string): number[] {
    const known = this.cache.get(word);
    if (known) return known;
    const ids = this.best(word).flatMap((piece) => this.idsOf(piece, word));
    this.cache.set(word, ids);
    return ids;
  }

  private idsOf(piece: string, word: string): number[] {
    const id = this.vocabulary.get(piece);
    if (id !== undefined) return [id];
    const bytes = this.byteFallback ? bytesOf(piece, this.vocabulary) : undefined;
    if (bytes) return bytes;
    if (this.unknown === undefined) throw new UnknownWord(word, undefined);
    return [this.unknown];
  }

  /**
   * Viterbi: for each place the best way there; the first one found, which ends in the longest
   * piece, stands at equal scores.
   */
  private best(word: string): string[] {
    const ways: { score: number; from: number; id: number }[] = [{ score: 0, from: -1, id: -1 }];
    const offer = (end: number, score: number, from: number, id: number) => {
      const way = ways[end];
      if (!way || score > way.score) ways[end] = { score, from, id };
    };
    for (let start = 0, length = 0; start < word.length; start += length) {
      length = (word.codePointAt(start) as number) > 0xffff ? 2 : 1;
      const { score } = ways[start] as { score: number };
      let single = false;
      for (const end of this.pieces.endsFrom(word, start)) {
        const id = this.vocabulary.get(word.slice(start, end)) as number;
        offer(end, (this.scores[id] as number) + score, start, id);
        if (end === start + length) single = true;
      }
      if (single) continue;
      if (this.unknown === undefined) throw new UnknownWord(word, undefined);
      offer(start + length, this.unknownScore + score, start, this.unknown);
    }
    const pieces: string[] = [];
    let unknownEnd: number | undefined;
    for (let end = word.length; end > 0; ) {
      const { from, id } = ways[end] as { from: number; id: number };
      // Neighbours that are unknown become one.
      if (id === this.unknown) unknownEnd ??= end;
      else {
        if (unknownEnd !== undefined) pieces.push(word.slice(end, unknownEnd));
        unknownEnd = undefined;
        pieces.push(word.slice(from, end));
      }
      end = from;
    }
    if (unknownEnd !== undefined) pieces.push(word.slice(0, unknownEnd));
    return pieces.reverse();
  }
}

/**
 * Pieces in order, in which those with a common beginning are neighbours: a trie without its
 * nodes.
 */
class SortedPieces {
  private readonly sorted: string[];
  /** First unit → where its pieces begin and end. */
  private readonly ranges = new Map<number, [number, number]>();

  constructor(pieces: string[]) {
    this.sorted = pieces.filter((piece) => piece !== '').sort((a, b) => (a < b ? -1 : 1));
    this.sorted.forEach((piece, i) => {
      const range = this.ranges.get(piece.charCodeAt(0));
      if (range) range[1] = i + 1;
      else this.ranges.set(piece.charCodeAt(0), [i, i + 1]);
    });
  }

  /** Ends of the pieces that start at a place of a word, the shortest first. */
  endsFrom(word: string, start: number): number[] {
    const ends: number[] = [];
    let [low, high] = this.ranges.get(word.charCodeAt(start)) ?? [0, 0];
    for (let length = 1; low < high; length++) {
      // All in [low, high) begin with `length` units of the word; the piece that is no longer comes
      // first.
      if (this.sorted[low]?.length === length) {
        ends.push(start + length);
        low++;
      }
      if (start + length >= word.length) break;
      const unit = word.charCodeAt(start + length);
      low = this.firstFrom(low, high, length, unit);
      high = this.firstFrom(low, high, length, unit + 1);
    }
    return ends;
  }

  /** The first in [low, high) whose unit at `at` is `unit` or more. */
  private firstFrom(low: number, high: number, at: number, unit: number): number {
    let [from, to] = [low, high];
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((this.sorted[middle] as string).charCodeAt(at) < unit) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}
