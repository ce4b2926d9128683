/**
 * What waits to be computed, and in which turn: texts of all models in one queue, fair between
 * models by tokens. Which of them form a batch is asked here; batches are run by batcher.ts.
 *
 * Start-time fair queueing (Goyal, Vin, Cheng 1996): a text of n tokens ends at
 * max(virtual time, end of its model's last text) + n, and the text that ends first is next. So a
 * model with few texts does not wait behind one with many, and one alone has everything.
 */

/** A text that waits. */
export interface Waiting<T> {
  item: T;
  /** Whose turn it takes: the model that answers. */
  key: string;
  tokens: number;
  /** Set when nobody waits for it any more. */
  gone: boolean;
}

interface Placed<T> {
  waiting: Waiting<T>;
  end: number;
}

/** The texts of one model, first in, first out. */
interface Line<T> {
  places: Placed<T>[];
  /** Places before this one were taken. */
  first: number;
  lastEnd: number;
}

/** After this many taken places a line is cut, so that it does not grow for ever. */
const CUT_AFTER = 1024;

export class FairQueue<T> {
  private readonly lines = new Map<string, Line<T>>();
  private virtualTime = 0;
  /** Texts that wait. */
  size = 0;
  /** Their tokens. */
  tokens = 0;

  add(waiting: Waiting<T>): void {
    let line = this.lines.get(waiting.key);
    if (!line) {
      line = { places: [], first: 0, lastEnd: 0 };
      this.lines.set(waiting.key, line);
    }
    line.lastEnd = Math.max(this.virtualTime, line.lastEnd) + waiting.tokens;
    line.places.push({ waiting, end: line.lastEnd });
    this.size++;
    this.tokens += waiting.tokens;
  }

  /** Takes a text out before its turn; one that is not there any more is left alone. */
  remove(waiting: Waiting<T>): void {
    if (waiting.gone) return;
    waiting.gone = true;
    this.size--;
    this.tokens -= waiting.tokens;
  }

  /**
   * Takes the texts of the next batch: at most `tokenBudget` tokens (or one text), of keys that may
   * share a batch.
   *
   * @param groupOf keys of one group share a batch; the group is that of the text whose turn it is.
   */
  take(tokenBudget: number, groupOf: (key: string) => unknown): Waiting<T>[] {
    const batch: Waiting<T>[] = [];
    let tokens = 0;
    let group: unknown;
    for (;;) {
      const next = this.next(batch.length === 0 ? undefined : (key) => groupOf(key) === group);
      if (!next || (batch.length > 0 && tokens + next.waiting.tokens > tokenBudget)) break;
      const { waiting, end } = next;
      if (batch.length === 0) group = groupOf(waiting.key);
      (this.lines.get(waiting.key) as Line<T>).first++;
      this.virtualTime = Math.max(this.virtualTime, end - waiting.tokens);
      tokens += waiting.tokens;
      this.remove(waiting);
      batch.push(waiting);
    }
    this.tidy();
    return batch;
  }

  /** Whether a text of a key waits. */
  has(key: string): boolean {
    const line = this.lines.get(key);
    return line?.places.some(({ waiting }, i) => i >= line.first && !waiting.gone) ?? false;
  }

  private tidy(): void {
    if (this.size === 0) {
      this.lines.clear();
      this.virtualTime = 0;
      return;
    }
    for (const [key, line] of this.lines) {
      const empty = line.first === line.places.length;
      // A model that was served beyond its share keeps its place behind the others.
      if (empty && line.lastEnd <= this.virtualTime) this.lines.delete(key);
      else if (empty || line.first > CUT_AFTER) {
        line.places.splice(0, line.first);
        line.first = 0;
      }
    }
  }

  /** The text that ends first, of those keys. */
  private next(may: ((key: string) => boolean) | undefined): Placed<T> | undefined {
    let best: Placed<T> | undefined;
    for (const [key, line] of this.lines) {
      if (may && !may(key)) continue;
      while (line.places[line.first]?.waiting.gone) line.first++;
      const place = line.places[line.first];
      if (place && (!best || place.end < best.end)) best = place;
    }
    return best;
  }
}
