/** Whose turn it is: fair by tokens between models, whatever waits, and nothing is lost. */
import { FairQueue, type Waiting } from '../../src/serve/fair_queue';

const waiting = (key: string, tokens: number, item = `${key}${tokens}`): Waiting<string> => ({
  ...{ item, key, tokens, gone: false },
});
const one = () => 'one group';

describe('a fair queue', () => {
  it('gives models with much and with little to do the same tokens', () => {
    const queue = new FairQueue<string>();
    for (let i = 0; i < 100; i++) queue.add(waiting('busy', 10));
    for (let i = 0; i < 5; i++) queue.add(waiting('quiet', 10));
    const keys = queue.take(100, one).map(({ key }) => key);
    expect(keys.filter((key) => key === 'quiet')).toHaveLength(5);
    expect(keys.filter((key) => key === 'busy')).toHaveLength(5);
    // One that comes late does not wait behind what was there before.
    queue.add(waiting('late', 10));
    expect(queue.take(20, one).map(({ key }) => key)).toContain('late');
  });

  it('counts tokens, not texts', () => {
    const queue = new FairQueue<string>();
    for (let i = 0; i < 20; i++) queue.add(waiting('long', 50));
    for (let i = 0; i < 100; i++) queue.add(waiting('short', 10));
    const batch = queue.take(400, one);
    const tokensOf = (key: string) => batch.filter((w) => w.key === key).reduce((sum, { tokens }) => sum + tokens, 0);
    expect(Math.abs(tokensOf('long') - tokensOf('short'))).toBeLessThanOrEqual(50);
  });

  it('does not save up the turns of a model that had nothing to do', () => {
    const queue = new FairQueue<string>();
    for (let i = 0; i < 40; i++) queue.add(waiting('steady', 10));
    queue.take(200, one);
    for (let i = 0; i < 40; i++) queue.add(waiting('back', 10));
    const keys = queue.take(200, one).map(({ key }) => key);
    expect(keys.filter((key) => key === 'steady').length).toBeGreaterThanOrEqual(9);
  });

  it('takes one text that is larger than a batch by itself', () => {
    const queue = new FairQueue<string>();
    queue.add(waiting('a', 500));
    queue.add(waiting('a', 1));
    expect(queue.take(100, one).map(({ tokens }) => tokens)).toEqual([500]);
    expect(queue.take(100, one).map(({ tokens }) => tokens)).toEqual([1]);
    expect(queue.take(100, one)).toEqual([]);
  });

  it('mixes only what shares a group', () => {
    const queue = new FairQueue<string>();
    for (const key of ['a', 'x', 'b', 'y']) queue.add(waiting(key, 10));
    const group = (key: string) => (key < 'm' ? 'first' : 'second');
    const batches = [queue.take(100, group), queue.take(100, group)].map((batch) => batch.map(({ key }) => key).sort());
    expect(batches).toEqual([
      ['a', 'b'],
      ['x', 'y'],
    ]);
  });

  it('leaves out what was removed, and counts what is left', () => {
    const queue = new FairQueue<string>();
    const gone = waiting('a', 10, 'gone');
    queue.add(gone);
    queue.add(waiting('a', 5, 'stays'));
    queue.remove(gone);
    queue.remove(gone);
    expect([queue.size, queue.tokens, queue.has('a')]).toEqual([1, 5, true]);
    expect(queue.take(100, one).map(({ item }) => item)).toEqual(['stays']);
    expect([queue.size, queue.tokens, queue.has('a')]).toEqual([0, 0, false]);
  });

  it('gives every text once over many rounds', () => {
    const queue = new FairQueue<string>();
    const wanted: string[] = [];
    const taken: string[] = [];
    for (let i = 0; i < 3000; i++) {
      wanted.push(`${i}`);
      queue.add(waiting(`model${i % 7}`, 1 + (i % 13), `${i}`));
      if (i % 10 === 9) taken.push(...queue.take(60, one).map(({ item }) => item));
    }
    while (queue.size > 0) taken.push(...queue.take(60, one).map(({ item }) => item));
    expect(taken.sort()).toEqual(wanted.sort());
  });
});
