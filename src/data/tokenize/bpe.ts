/**
 * Byte-pair encoding (Sennrich et al. 2016), as Python's tokenizers does it on ids: RoBERTa's and
 * ModernBERT's model. Words come from pre_tokenizers.ts; `ByteLevel` there is what makes it work on
 * bytes.
 */
import { type Component, field, Refused, short } from './refused';
import { type TokenModel, UnknownWord, vocabularyOf, WordCache } from './vocabulary';

/** Two ids as one number: ids are below 10^7. */
const PAIR = 2 ** 26;
/**
 * Rank and place as one number, in the order in which merges are done: by rank, then from the
 * left.
 */
const PLACE = 2 ** 28;

export class Bpe implements TokenModel {
  readonly vocabulary: ReadonlyMap<string, number>;
  /** Pair of ids → rank. */
  private readonly ranks = new Map<number, number>();
  /** [rank] id that a merge gives. */
  private readonly merged: number[] = [];
  private readonly unknown: string | undefined;
  private readonly prefix: string;
  private readonly suffix: string;
  private readonly fuseUnknown: boolean;
  private readonly byteFallback: boolean;
  private readonly ignoreMerges: boolean;
  private readonly cache = new WordCache();

  constructor(component: Component) {
    const { fields, where } = component;
    this.vocabulary = vocabularyOf(component);
    if (fields['dropout'] !== undefined && fields['dropout'] !== null && fields['dropout'] !== 0) {
      throw new Refused(`${where}: its dropout is ${short(fields['dropout'])}, which draws at random; set it to null`);
    }
    this.unknown =
      (fields['unk_token'] ?? undefined) === undefined ? undefined : field(component, 'unk_token', 'string');
    this.prefix = field(component, 'continuing_subword_prefix', 'string', '');
    this.suffix = field(component, 'end_of_word_suffix', 'string', '');
    this.fuseUnknown = field(component, 'fuse_unk', 'boolean', false);
    this.byteFallback = field(component, 'byte_fallback', 'boolean', false);
    this.ignoreMerges = field(component, 'ignore_merges', 'boolean', false);
    for (const [rank, [left, right]] of mergesOf(component).entries()) this.addMerge(left, right, rank, where);
  }

  private addMerge(left: string, right: string, rank: number, where: string): void {
    const refused = (problem: string) =>
      new Refused(`${where}: merge ${rank + 1}, ${JSON.stringify(`${left} ${right}`)}, ${problem}`);
    const idOf = (token: string): number => {
      const id = this.vocabulary.get(token);
      if (id === undefined) throw refused(`needs ${JSON.stringify(token)}, which its vocab lacks`);
      return id;
    };
    if (!right.startsWith(this.prefix)) throw refused(`lacks the prefix "${this.prefix}"`);
    this.ranks.set(idOf(left) * PAIR + idOf(right), rank);
    this.merged[rank] = idOf(left + right.slice(this.prefix.length));
  }

  tokenize(word: string): number[] {
    const whole = this.ignoreMerges ? this.vocabulary.get(word) : undefined;
    if (whole !== undefined) return [whole];
    const known = this.cache.get(word);
    if (known) return known;
    const ids = this.mergeAll(this.symbolsOf(word));
    this.cache.set(word, ids);
    return ids;
  }

  /**
   * Ids of characters. What is not in the vocabulary is bytes, unknown, or left out, as the file
   * has it.
   */
  private symbolsOf(word: string): number[] {
    const characters = [...word];
    const ids: number[] = [];
    let unknown: number | undefined;
    characters.forEach((character, i) => {
      const symbol = (i > 0 ? this.prefix : '') + character + (i === characters.length - 1 ? this.suffix : '');
      const id = this.vocabulary.get(symbol);
      if (id !== undefined) {
        if (unknown !== undefined) ids.push(unknown);
        unknown = undefined;
        ids.push(id);
        return;
      }
      const bytes = this.byteFallback ? bytesOf(symbol, this.vocabulary) : undefined;
      if (bytes) {
        // An unknown one before them comes after them: as in Python.
        ids.push(...bytes);
        return;
      }
      if (this.unknown === undefined) return;
      if (unknown !== undefined && !this.fuseUnknown) ids.push(unknown);
      unknown = this.vocabulary.get(this.unknown);
      if (unknown === undefined) throw new UnknownWord(word, this.unknown);
    });
    if (unknown !== undefined) ids.push(unknown);
    return ids;
  }

  /**
   * Merges the pair of the lowest rank, the leftmost of them, until there is none; `ids` is used
   * up.
   */
  private mergeAll(ids: number[]): number[] {
    const next = ids.map((_, i) => i + 1);
    const previous = ids.map((_, i) => i - 1);
    const gone = new Uint8Array(ids.length);
    const queue = new MinHeap();
    const offer = (at: number) => {
      const rank = this.ranks.get((ids[at] as number) * PAIR + (ids[next[at] as number] as number));
      if (rank !== undefined) queue.push(rank * PLACE + at);
    };
    for (let i = 0; i + 1 < ids.length; i++) offer(i);
    for (let top = queue.pop(); top !== undefined; top = queue.pop()) {
      const at = top % PLACE;
      const id = this.merged[Math.floor(top / PLACE)] as number;
      const right = next[at] as number;
      if (gone[at] || right >= ids.length) continue;
      // The pair may be another by now; what counts is that it gives the same token.
      const rank = this.ranks.get((ids[at] as number) * PAIR + (ids[right] as number));
      if (rank === undefined || this.merged[rank] !== id) continue;
      ids[at] = id;
      gone[right] = 1;
      next[at] = next[right] as number;
      if ((next[at] as number) < ids.length) {
        previous[next[at] as number] = at;
        offer(at);
      }
      if ((previous[at] as number) >= 0) offer(previous[at] as number);
    }
    return ids.filter((_, i) => !gone[i]);
  }
}

/** `<0xC3>` for each byte of a symbol, where the vocabulary has all of them. */
export function bytesOf(symbol: string, vocabulary: ReadonlyMap<string, number>): number[] | undefined {
  const ids: number[] = [];
  for (const byte of Buffer.from(symbol)) {
    const id = vocabulary.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
    if (id === undefined) return undefined;
    ids.push(id);
  }
  return ids;
}

/** Pairs, or lines "a b" as older files have them. */
function mergesOf(component: Component): [string, string][] {
  const merges = field(component, 'merges', 'list');
  const lines = typeof merges[0] === 'string';
  return merges
    .filter((merge) => !(lines && typeof merge === 'string' && merge.startsWith('#version')))
    .map((merge, i) => {
      const pair = lines && typeof merge === 'string' ? merge.split(' ') : merge;
      if (lines === (typeof merge === 'string') && isPair(pair)) return pair;
      throw new Refused(
        `${component.where}: merge ${i + 1} is ${short(merge)}; expected two symbols, as in all others`,
      );
    });
}

function isPair(value: unknown): value is [string, string] {
  return Array.isArray(value) && value.length === 2 && value.every((symbol) => typeof symbol === 'string');
}

/** A binary heap of numbers. */
class MinHeap {
  private readonly heap: number[] = [];

  push(value: number): void {
    const { heap } = this;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((heap[parent] as number) <= value) break;
      heap[at] = heap[parent] as number;
      at = parent;
    }
    heap[at] = value;
  }

  pop(): number | undefined {
    const { heap } = this;
    const top = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return top;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && (heap[child + 1] as number) < (heap[child] as number)) child++;
      if (last <= (heap[child] as number)) break;
      heap[at] = heap[child] as number;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}
