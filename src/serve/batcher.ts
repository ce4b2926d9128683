/**
 * Requests into batches: what waits together when a batch ends is the next one, so there is no
 * timer and nobody waits longer than he must. Which texts are next is decided in fair_queue.ts, and
 * what a batch computes in engine.ts.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { FairQueue, type Waiting } from './fair_queue';
import { overloaded, ServeError } from './serve_error';

/** One text of a request. */
export interface Work<T> {
  item: T;
  /** The model that answers. */
  key: string;
  tokens: number;
}

/** Of {@link Batcher}. */
export interface BatcherOptions<T, R> {
  /** Computes a batch; a result that is an Error is that text's alone. */
  run: (items: readonly T[]) => Promise<readonly (R | Error)[]>;
  /** Keys of one group share a batch. */
  groupOf: (key: string) => unknown;
  /** Most tokens a batch. */
  tokenBudget: number;
  /** Most texts that wait. */
  maxWaiting: number;
  /** Told of each batch that was run. */
  onBatch?: (batch: { texts: number; tokens: number; seconds: number }) => void;
}

/** When a request is given up: with its client, or at its deadline. */
export interface Patience {
  signal?: AbortSignal | undefined;
  /** Milliseconds from now. */
  timeoutMs: number;
}

interface Request<R> {
  results: R[];
  open: number;
  done: boolean;
  resolve: (results: R[]) => void;
  reject: (error: unknown) => void;
}

interface Part<T, R> {
  item: T;
  request: Request<R>;
  index: number;
}

export class Batcher<T, R> {
  private readonly queue = new FairQueue<Part<T, R>>();
  private readonly between: (() => void)[] = [];
  private working: Promise<void> | undefined;
  private closed = false;

  constructor(private readonly options: BatcherOptions<T, R>) {}

  /** Texts that wait, and their tokens. */
  get waiting(): { texts: number; tokens: number } {
    return { texts: this.queue.size, tokens: this.queue.tokens };
  }

  /**
   * @returns a result for each text, in their order.
   * @throws ServeError 429 where there is no room, or when the deadline has come; 503 after
   * {@link close}; what a text's result is, where that is an error.
   */
  submit(works: readonly Work<T>[], { signal, timeoutMs }: Patience): Promise<R[]> {
    if (this.closed) throw new ServeError(503, 'unhealthy', 'the server is stopping');
    if (signal?.aborted) throw new ServeError(499, 'validation', 'the client has gone');
    const { maxWaiting } = this.options;
    if (this.queue.size + works.length > maxWaiting) {
      throw overloaded(`${this.queue.size} texts wait, and there is room for ${maxWaiting}. Try again later.`);
    }
    if (works.length === 0) return Promise.resolve([]);
    return new Promise<R[]>((resolve, reject) => {
      const places: Waiting<Part<T, R>>[] = [];
      const giveUp = (error: ServeError) => {
        for (const place of places) this.queue.remove(place);
        request.reject(error);
      };
      const onAbort = () => giveUp(new ServeError(499, 'validation', 'the client has gone'));
      const timer = setTimeout(
        () => giveUp(overloaded(`no answer within ${timeoutMs} ms, the deadline of the request. Try again later.`)),
        timeoutMs,
      );
      const settle = () => {
        request.done = true;
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      const request: Request<R> = {
        results: new Array<R>(works.length),
        open: works.length,
        done: false,
        resolve: (results) => {
          settle();
          resolve(results);
        },
        reject: (error) => {
          if (request.done) return;
          settle();
          reject(error);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      works.forEach(({ item, key, tokens }, index) => {
        const place = { item: { item, request, index }, key, tokens, gone: false };
        places.push(place);
        this.queue.add(place);
      });
      this.start();
    });
  }

  /** Whether a text waits for a model. */
  isWaitedFor(key: string): boolean {
    return this.queue.has(key);
  }

  /** Runs something between two batches: what changes the models. */
  exclusive<V>(act: () => V): Promise<V> {
    return new Promise((resolve, reject) => {
      this.between.push(() => {
        try {
          resolve(act());
        } catch (error) {
          reject(error);
        }
      });
      this.start();
    });
  }

  /** Refuses what comes, and answers what was accepted. */
  async close(): Promise<void> {
    this.closed = true;
    await this.working;
  }

  private start(): void {
    this.working ??= this.work().finally(() => {
      this.working = undefined;
      // What was added between the last look and here.
      if (this.queue.size > 0 || this.between.length > 0) this.start();
    });
  }

  private async work(): Promise<void> {
    // All requests that the sockets hold now are read first.
    await nextTurn();
    let deliver: (() => void) | undefined;
    for (;;) {
      for (const act of this.between.splice(0)) act();
      const batch = this.queue.take(this.options.tokenBudget, this.options.groupOf);
      if (batch.length === 0) {
        if (deliver === undefined) return;
        deliver();
        deliver = undefined;
        continue;
      }
      // The next batch is at work while the answers of the last one are written.
      const running = this.run(batch);
      deliver?.();
      deliver = await running;
    }
  }

  private async run(batch: readonly Waiting<Part<T, R>>[]): Promise<() => void> {
    const started = performance.now();
    const parts = batch.map(({ item }) => item);
    let results: readonly (R | Error)[];
    try {
      results = await this.options.run(parts.map(({ item }) => item));
    } catch (error) {
      results = parts.map(() => error as Error);
    }
    const tokens = batch.reduce((sum, waiting) => sum + waiting.tokens, 0);
    this.options.onBatch?.({ texts: batch.length, tokens, seconds: (performance.now() - started) / 1000 });
    return () => {
      parts.forEach(({ request, index }, i) => {
        const result = results[i] as R | Error;
        if (request.done) return;
        if (result instanceof Error) {
          request.reject(result);
          return;
        }
        request.results[index] = result;
        if (--request.open === 0) request.resolve(request.results);
      });
    };
  }
}
