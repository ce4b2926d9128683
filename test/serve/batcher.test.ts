/** Requests into batches: what waits together, deadlines, clients that go, changes, the end. */
import { Batcher, type BatcherOptions, type Work } from '../../src/serve/batcher';

/** A model that doubles numbers, one batch at a time, each when the test lets it go. */
function doubling(options: Partial<BatcherOptions<number, number>> = {}) {
  const batches: number[][] = [];
  const open: (() => void)[] = [];
  let free = false;
  const batcher = new Batcher<number, number>({
    run: async (items) => {
      batches.push([...items]);
      if (!free) await new Promise<void>((resolve) => open.push(resolve));
      return items.map((item) => (item < 0 ? new Error(`no ${item}`) : 2 * item));
    },
    groupOf: () => 0,
    tokenBudget: 100,
    maxWaiting: 50,
    ...options,
  });
  const release = () => {
    free = true;
    for (const resolve of open.splice(0)) resolve();
  };
  return { batcher, batches, release };
}

const works = (...items: number[]): Work<number>[] => items.map((item) => ({ item, key: 'a', tokens: 10 }));
const patient = { timeoutMs: 60_000 };
const turn = () => new Promise((resolve) => setTimeout(resolve, 5));

test('what comes while a batch runs is the next batch, and each request gets its own results', async () => {
  const { batcher, batches, release } = doubling();
  const first = batcher.submit(works(1), patient);
  await turn();
  const others = [batcher.submit(works(2, 3), patient), batcher.submit(works(4), patient)];
  await turn();
  expect(batches).toEqual([[1]]);
  release();
  expect(await Promise.all([first, ...others])).toEqual([[2], [4, 6], [8]]);
  expect(batches).toEqual([[1], [2, 3, 4]]);
});

test('a request larger than a batch is answered when its last text is', async () => {
  const { batcher, batches, release } = doubling();
  release();
  const items = Array.from({ length: 25 }, (_, i) => i);
  expect(await batcher.submit(works(...items), patient)).toEqual(items.map((item) => 2 * item));
  expect(batches.map(({ length }) => length)).toEqual([10, 10, 5]);
});

test('beyond the room that there is, and after the deadline, a request is refused with 429', async () => {
  const { batcher, batches, release } = doubling({ maxWaiting: 3 });
  const first = batcher.submit(works(1), patient);
  await turn();
  const second = batcher.submit(works(2, 3), { timeoutMs: 20 });
  expect(() => batcher.submit(works(4, 5), patient)).toThrow(/2 texts wait, and there is room for 3/);
  await expect(second).rejects.toMatchObject({ status: 429, retryAfter: 1, message: expect.stringContaining('20 ms') });
  expect(batcher.waiting).toEqual({ texts: 0, tokens: 0 });
  release();
  expect(await first).toEqual([2]);
  expect(batches).toEqual([[1]]);
});

test('a client that goes takes its texts out of the queue', async () => {
  const { batcher, batches, release } = doubling();
  const first = batcher.submit(works(1), patient);
  await turn();
  const gone = new AbortController();
  const second = batcher.submit(works(2), { ...patient, signal: gone.signal });
  const third = batcher.submit(works(3), patient);
  gone.abort();
  await expect(second).rejects.toMatchObject({ status: 499 });
  release();
  expect(await Promise.all([first, third])).toEqual([[2], [6]]);
  expect(batches).toEqual([[1], [3]]);
});

test('a text that fails fails its own request alone', async () => {
  const { batcher, release } = doubling();
  release();
  const [good, bad] = [batcher.submit(works(1), patient), batcher.submit(works(2, -3), patient)];
  expect(await good).toEqual([2]);
  await expect(bad).rejects.toThrow('no -3');
});

test('changes happen between two batches', async () => {
  const { batcher, batches, release } = doubling();
  const first = batcher.submit(works(1), patient);
  await turn();
  const second = batcher.submit(works(2), patient);
  const seen = batcher.exclusive(() => batches.length);
  release();
  expect(await seen).toBe(1);
  await Promise.all([first, second]);
  await expect(batcher.exclusive(() => JSON.parse('{'))).rejects.toThrow(SyntaxError);
});

test('closing answers what was accepted, and refuses what comes', async () => {
  const { batcher, release } = doubling();
  const accepted = [batcher.submit(works(1), patient), batcher.submit(works(2), patient)];
  const closed = batcher.close();
  expect(() => batcher.submit(works(3), patient)).toThrow('is stopping');
  release();
  expect(await Promise.all(accepted)).toEqual([[2], [4]]);
  await closed;
});
