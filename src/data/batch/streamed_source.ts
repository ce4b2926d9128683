/**
 * Batches of examples that are read while training goes on, a window of them in memory: for data
 * that do not fit. The order is a function of the seed and the epoch: shards are shuffled, and
 * examples within windows, whose borders differ from epoch to epoch. Shards come from
 * src/data/read/load.ts; what fits in memory is batched by encoded_source.ts.
 */
import { FusedLoraError } from '../../base/errors';
import { RANDOM_SITE, RandomStream } from '../../base/philox';
import { type Share, shareOf } from '../../distributed/shares';
import type { Shard } from '../read/load';
import type { EncodedExample } from '../tokenize/encoded_example';
import type { Batch, BatchSource } from './batch';
import { countBatches, type PackOptions, planBatches } from './batch_plan';
import type { SourceOptions } from './encoded_source';
import { Fingerprint } from './fingerprint';
import { packBatch } from './packing';

/** Encodes examples; `numbers` are their places in the data, for errors. */
export type EncodeAll<T> = (examples: readonly T[], numbers: readonly number[]) => Promise<readonly EncodedExample[]>;

/** How a stream of examples is shuffled and packed. */
export interface StreamOptions extends Omit<SourceOptions, 'shuffle'> {
  /** Examples in memory, within which they are shuffled. Default 16,384. */
  shuffleWindow?: number;
  signal?: AbortSignal | undefined;
}

const DEFAULT_SHUFFLE_WINDOW = 16_384;

/** What a first pass over the data tells: two bytes an example. */
interface StreamIndex {
  /** [shards] tokens of each example. */
  lengths: Uint16Array[];
  fingerprint: string;
}

/** Numbers that are added one by one. */
class Lengths {
  private values = new Uint16Array(1024);
  private count = 0;

  add(value: number): void {
    if (this.count === this.values.length) {
      const larger = new Uint16Array(2 * this.count);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.count++] = value;
  }

  done(): Uint16Array {
    return this.values.slice(0, this.count);
  }
}

function checkWindow({ shuffleWindow = DEFAULT_SHUFFLE_WINDOW }: StreamOptions): number {
  if (Number.isSafeInteger(shuffleWindow) && shuffleWindow >= 1) return shuffleWindow;
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `shuffleWindow is ${shuffleWindow}; it must be a number of examples, at least 1`,
  );
}

function stopIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new FusedLoraError('ABORTED', 'stopped while data were read', { cause: signal.reason });
}

/**
 * Passes over all the data once, so that what is wrong with them is told before anything is
 * trained.
 */
async function makeIndex<T>(
  shards: readonly Shard<T>[],
  encode: EncodeAll<T>,
  options: StreamOptions,
): Promise<StreamIndex> {
  const { signal, ...settings } = options;
  const fingerprint = new Fingerprint(settings);
  const lengths: Uint16Array[] = [];
  let number = 0;
  for (const shard of shards) {
    const tokens = new Lengths();
    for await (const piece of shard()) {
      stopIfAborted(signal);
      const first = number;
      const encoded = await encode(
        piece,
        Array.from(piece, (_, i) => first + i),
      );
      for (const example of encoded) {
        tokens.add(example.inputIds.length);
        fingerprint.lengths(Int32Array.of(example.inputIds.length));
        fingerprint.add(example);
      }
      number += piece.length;
    }
    lengths.push(tokens.done());
  }
  return { lengths, fingerprint: fingerprint.done() };
}

/** One window of an epoch. */
interface Window<T> {
  /** Number of its first batch in the epoch. */
  firstBatch: number;
  examples: readonly T[];
  /** [examples] their numbers in the data. */
  numbers: readonly number[];
  /** Set where they were encoded to know their lengths. */
  encoded: readonly EncodedExample[] | undefined;
  batches: readonly Int32Array[];
}

/**
 * Data in batches, read from shards as they are needed. Data that can be read again are passed over
 * once at first (`open`): batches of each epoch, and so the steps of a run, are known then. Data
 * that can be read once alone are one epoch whose end shows when it comes.
 */
export class StreamedSource<T> implements BatchSource {
  private readonly window: number;
  private readonly counts = new Map<number, number>();

  private constructor(
    private readonly shards: readonly Shard<T>[],
    private readonly encode: EncodeAll<T>,
    private readonly options: StreamOptions,
    private readonly index: StreamIndex | undefined,
  ) {
    this.window = checkWindow(options);
  }

  /**
   * Of data that give the same examples each time they are read.
   *
   * @throws FusedLoraError INVALID_DATA without examples, and what reading and encoding throw;
   * INVALID_ARGUMENT as `planBatches` does; ABORTED.
   */
  static async open<T>(
    shards: readonly Shard<T>[],
    encode: EncodeAll<T>,
    options: StreamOptions,
  ): Promise<StreamedSource<T>> {
    checkWindow(options);
    const source = new StreamedSource(shards, encode, options, await makeIndex(shards, encode, options));
    if (source.numExamples === 0) {
      throw new FusedLoraError('INVALID_DATA', 'there are no examples: give a data set of at least one row');
    }
    return source;
  }

  /** Of data that can be read once. */
  static once<T>(shard: Shard<T>, encode: EncodeAll<T>, options: StreamOptions): StreamedSource<T> {
    return new StreamedSource([shard], encode, options, undefined);
  }

  get singlePass(): boolean {
    return this.index === undefined;
  }

  /** NaN for data that can be read once. */
  get numExamples(): number {
    return this.index?.lengths.reduce((sum, { length }) => sum + length, 0) ?? Number.NaN;
  }

  /** Tokens of each example; none are known of data that can be read once. */
  *lengthsOfExamples(): Generator<number> {
    for (const lengths of this.index?.lengths ?? []) yield* lengths;
  }

  get fingerprint(): string {
    return this.index?.fingerprint ?? 'read once';
  }

  /** Batches must be asked for in their order; going back reads the epoch anew. */
  epoch(epoch: number): {
    readonly length: number;
    at(index: number): Promise<Batch>;
    shareAt(index: number, share: Share): Promise<Batch | undefined>;
    close(): Promise<void>;
  } {
    const known = this.index && this.batchesIn(epoch);
    let windows = this.windows(epoch);
    let current: Window<T> | undefined;
    let length = known ?? Number.POSITIVE_INFINITY;
    const advance = async () => {
      stopIfAborted(this.options.signal);
      const next = await windows.next();
      if (next.done) throw this.changed();
      current = next.value.window;
      if (next.value.last) length = current.firstBatch + current.batches.length;
    };
    const windowOf = async (index: number): Promise<Window<T>> => {
      if (current && index < current.firstBatch) {
        await windows.return(undefined);
        windows = this.windows(epoch);
        current = undefined;
      }
      while (!current || index >= current.firstBatch + current.batches.length) await advance();
      return current;
    };
    return {
      get length() {
        return length;
      },
      at: async (index) => {
        const window = await windowOf(index);
        return this.pack(window, window.batches[index - window.firstBatch] as Int32Array);
      },
      shareAt: async (index, share) => {
        const window = await windowOf(index);
        const indices = shareOf(window.batches[index - window.firstBatch] as Int32Array, share);
        return indices.length === 0 ? undefined : this.pack(window, indices);
      },
      close: async () => {
        current = undefined;
        await windows.return(undefined);
      },
    };
  }

  private async pack(window: Window<T>, indices: Int32Array): Promise<Batch> {
    const numbers = Array.from(indices, (i) => window.numbers[i] as number);
    const encoded = window.encoded
      ? Array.from(indices, (i) => window.encoded![i] as EncodedExample)
      : await this.encode(
          Array.from(indices, (i) => window.examples[i] as T),
          numbers,
        );
    const packed = packBatch(encoded, Int32Array.from(encoded.keys()), this.options.positions);
    return { ...packed, exampleIndices: Int32Array.from(numbers) };
  }

  /** The order of the shards in an epoch. */
  private order(epoch: number): Int32Array {
    const order = Int32Array.from(this.shards.keys());
    return new RandomStream(this.options.seed ?? 0, RANDOM_SITE.shuffle, epoch, 1).shuffle(order);
  }

  /**
   * Sizes of the windows of an epoch, without end: the first is cut short, so that other examples
   * meet each time.
   */
  private *sizes(epoch: number): Generator<number> {
    yield 1 + new RandomStream(this.options.seed ?? 0, RANDOM_SITE.shuffle, epoch, 2).below(this.window);
    for (;;) yield this.window;
  }

  /** How the examples of a window become batches. */
  private packOptions(epoch: number, window: number): PackOptions {
    const { batchSize, tokenBudget, window: sortWindow, seed = 0 } = this.options;
    return {
      ...(batchSize !== undefined && { batchSize }),
      ...(tokenBudget !== undefined && { tokenBudget }),
      ...(sortWindow !== undefined && { window: sortWindow }),
      shuffleSeed: seed,
      epoch: epoch * 0x10000 + window,
    };
  }

  private batchesIn(epoch: number): number {
    let count = this.counts.get(epoch);
    if (count === undefined) {
      count = this.countBatches(epoch);
      this.counts.set(epoch, count);
    }
    return count;
  }

  private countBatches(epoch: number): number {
    const { lengths } = this.index as StreamIndex;
    const all = new Uint16Array(this.numExamples);
    let at = 0;
    for (const shard of this.order(epoch)) {
      all.set(lengths[shard] as Uint16Array, at);
      at += (lengths[shard] as Uint16Array).length;
    }
    let count = 0;
    let window = 0;
    let start = 0;
    for (const size of this.sizes(epoch)) {
      if (start >= all.length) return count;
      const part = Int32Array.from(all.subarray(start, start + size));
      count += countBatches(part, this.packOptions(epoch, window++));
      start += size;
    }
    return count;
  }

  /**
   * Windows in the order of the epoch; whether one is the last is known by the example after it.
   */
  private async *windows(epoch: number): AsyncGenerator<{ window: Window<T>; last: boolean }> {
    let [number, firstBatch] = [0, 0];
    const sizes = this.sizes(epoch);
    let size = sizes.next().value as number;
    let examples: T[] = [];
    let numbers: number[] = [];
    for await (const [example, at] of this.examples(epoch)) {
      if (examples.length === size) {
        const window = await this.makeWindow(examples, numbers, epoch, number++, firstBatch);
        firstBatch += window.batches.length;
        [examples, numbers] = [[], []];
        yield { window, last: false };
        size = sizes.next().value as number;
      }
      examples.push(example);
      numbers.push(at);
    }
    if (examples.length === 0) {
      throw new FusedLoraError('INVALID_DATA', 'the stream of examples ended before the first; give at least one');
    }
    yield { window: await this.makeWindow(examples, numbers, epoch, number, firstBatch), last: true };
  }

  private async makeWindow(
    examples: readonly T[],
    numbers: readonly number[],
    epoch: number,
    window: number,
    firstBatch: number,
  ): Promise<Window<T>> {
    const encoded = this.index ? undefined : await this.encode(examples, numbers);
    const lengths = Int32Array.from(encoded?.map(({ inputIds }) => inputIds.length) ?? this.lengthsOf(numbers));
    return { firstBatch, examples, numbers, encoded, batches: planBatches(lengths, this.packOptions(epoch, window)) };
  }

  private lengthsOf(numbers: readonly number[]): number[] {
    const { lengths } = this.index as StreamIndex;
    let shard = 0;
    let start = 0;
    return numbers.map((number) => {
      if (number < start) [shard, start] = [0, 0];
      while (number - start >= (lengths[shard] as Uint16Array).length)
        start += (lengths[shard++] as Uint16Array).length;
      return lengths[shard]![number - start] as number;
    });
  }

  /** Examples of an epoch with their numbers in the data. */
  private async *examples(epoch: number): AsyncGenerator<[example: T, number: number]> {
    const starts = [0];
    for (const { length } of this.index?.lengths ?? []) starts.push((starts.at(-1) as number) + length);
    for (const shard of this.order(epoch)) {
      let number = starts[shard] as number;
      const end = this.index ? (starts[shard + 1] as number) : Number.POSITIVE_INFINITY;
      for await (const piece of (this.shards[shard] as Shard<T>)()) {
        for (const example of piece) {
          if (number === end) throw this.changed();
          yield [example, number++];
        }
      }
      if (this.index && number !== end) throw this.changed();
    }
  }

  private changed(): FusedLoraError {
    return new FusedLoraError(
      'INVALID_DATA',
      `the data gave another number of examples than at first (${this.numExamples}): what is streamed must be the same each time it is read. Was a file ` +
        'changed while training ran?',
    );
  }
}
