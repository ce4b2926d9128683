/**
 * Streams in windows: every example once an epoch, the order a
 * function of the seed, lengths that are known, data that change.
 */
import { type EncodedExample, type Shard, StreamedSource, type StreamOptions } from '../../../src';

const POSITIONS = { offset: 2, maxPositions: 514 };
const lengthOf = (number: number) => 3 + ((number * 7) % 20);
const encode = async (numbers: readonly number[]): Promise<EncodedExample[]> =>
  numbers.map((number) => ({
    inputIds: new Int32Array(lengthOf(number)).fill(number),
    tokenTypeIds: new Int32Array(lengthOf(number)),
    label: number % 2,
  }));

/** Shards of consecutive numbers in groups of 7. */
const shardsOf = (...counts: number[]): Shard<number>[] => {
  let from = 0;
  return counts.map((count) => {
    const numbers = Array.from({ length: count }, () => from++);
    return async function* () {
      for (let i = 0; i < numbers.length; i += 7) yield numbers.slice(i, i + 7);
    };
  });
};

const open = (shards: Shard<number>[], options: Partial<StreamOptions> = {}) =>
  StreamedSource.open(shards, encode, {
    positions: POSITIONS,
    shuffleWindow: 64,
    seed: 1,
    ...(options.tokenBudget === undefined && { batchSize: 8 }),
    ...options,
  });

async function batchesOf(source: StreamedSource<number>, epoch: number): Promise<number[][]> {
  const batches = source.epoch(epoch);
  const all: number[][] = [];
  for (let i = 0; i < batches.length; i++) {
    const { exampleIndices, tensors, sizes } = await batches.at(i);
    const ids = tensors['inputIds'] as Int32Array;
    const offsets = tensors['cuSeqlens'] as Int32Array;
    expect(sizes.S).toBe(exampleIndices.length);
    expect(Array.from(exampleIndices, (_, s) => ids[offsets[s] as number])).toEqual([...exampleIndices]);
    all.push([...exampleIndices]);
  }
  return all;
}
const sorted = (batches: number[][]) => batches.flat().sort((a, b) => a - b);

describe.each<[string, Partial<StreamOptions>]>([
  ['a batch size', { batchSize: 8 }],
  ['a token budget', { tokenBudget: 100 }],
])('with %s', (_, settings) => {
  it('an epoch has every example once, in as many batches as were said', async () => {
    const source = await open(shardsOf(100, 33, 167), settings);
    expect(source.numExamples).toBe(300);
    for (const epoch of [0, 1, 5]) {
      const batches = await batchesOf(source, epoch);
      expect(sorted(batches)).toEqual(Array.from({ length: 300 }, (__, i) => i));
      expect(batches).toHaveLength(source.epoch(epoch).length);
    }
  });
});

it('the order is a function of seed and epoch, and mixes shards and windows', async () => {
  const [one, same, other] = [
    await open(shardsOf(100, 200)),
    await open(shardsOf(100, 200)),
    await open(shardsOf(100, 200), { seed: 2 }),
  ];
  expect(await batchesOf(one, 3)).toEqual(await batchesOf(same, 3));
  expect(await batchesOf(one, 3)).not.toEqual(await batchesOf(one, 4));
  expect(await batchesOf(one, 3)).not.toEqual(await batchesOf(other, 3));
  // Two examples that are neighbours across the border of a
  // window in one epoch share one in another.
  const together = new Set<boolean>();
  for (let epoch = 0; epoch < 8; epoch++) {
    const batches = await batchesOf(one, epoch);
    const windowOf = (number: number) => Math.floor(batches.flat().indexOf(number) / 64);
    together.add(windowOf(150) === windowOf(180));
  }
  expect(together).toEqual(new Set([true, false]));
});

it('a batch may be asked for again, and any later one without those before', async () => {
  const source = await open(shardsOf(300));
  const all = await batchesOf(source, 0);
  const batches = source.epoch(0);
  for (const i of [20, 21, 3, 30]) expect([...(await batches.at(i)).exampleIndices]).toEqual(all[i]);
});

it('keeps no more than a window of examples', async () => {
  let most = 0;
  const read: number[] = [];
  const shard: Shard<number> = async function* () {
    for (let i = 0; i < 1000; i += 10) {
      read.push(i + 10);
      yield Array.from({ length: 10 }, (_, k) => i + k);
    }
  };
  const source = await open([shard]);
  read.length = 0;
  const batches = source.epoch(0);
  let done = 0;
  for (let i = 0; i < batches.length; i++) {
    done += (await batches.at(i)).sizes.S;
    most = Math.max(most, (read.at(-1) as number) - done);
  }
  expect(done).toBe(1000);
  expect(most).toBeLessThanOrEqual(64 + 10);
});

it('the fingerprint tells other data, and other options', async () => {
  const prints = [
    await open(shardsOf(100)),
    await open(shardsOf(101)),
    await open(shardsOf(100), { batchSize: 9 }),
    await open(shardsOf(100), { shuffleWindow: 65 }),
  ].map(({ fingerprint }) => fingerprint);
  expect(new Set(prints).size).toBe(4);
  expect((await open(shardsOf(100))).fingerprint).toBe(prints[0]);
});

describe('data that can be read once', () => {
  const once = (count: number) =>
    StreamedSource.once(shardsOf(count)[0] as Shard<number>, encode, {
      positions: POSITIONS,
      batchSize: 8,
      shuffleWindow: 64,
    });

  it.each([1, 8, 63, 64, 65, 128, 300])('%p examples: the end shows with the last batch', async (count) => {
    const source = once(count);
    expect(source.singlePass).toBe(true);
    const batches = source.epoch(0);
    expect(batches.length).toBe(Number.POSITIVE_INFINITY);
    const all: number[][] = [];
    for (let i = 0; i < batches.length; i++) all.push([...(await batches.at(i)).exampleIndices]);
    expect(sorted(all)).toEqual(Array.from({ length: count }, (_, i) => i));
  });

  it('of nothing', async () => {
    await expect(once(0).epoch(0).at(0)).rejects.toMatchObject({ code: 'INVALID_DATA' });
  });
});

describe('what is wrong', () => {
  it('no examples, a window of nothing, a signal', async () => {
    await expect(open(shardsOf(0))).rejects.toMatchObject({ code: 'INVALID_DATA' });
    await expect(open(shardsOf(10), { shuffleWindow: 0 })).rejects.toThrow(/shuffleWindow is 0/);
    await expect(open(shardsOf(10), { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it.each([5, -5])('%p examples more in the second pass', async (more) => {
    let passes = 0;
    const shard: Shard<number> = async function* () {
      yield Array.from({ length: passes++ === 0 ? 100 : 100 + more }, (_, i) => i);
    };
    const source = await open([shard]);
    await expect(batchesOf(source, 0)).rejects.toMatchObject({
      code: 'INVALID_DATA',
      message: expect.stringMatching(/another number of examples than at first \(100\)/),
    });
  });
});
