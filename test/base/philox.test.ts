import { philox, RANDOM_SITE, RandomStream } from '../../src/base/philox';

function philox4x32([c0, c1, c2, c3]: number[], [k0, k1]: number[]): Uint32Array {
  const out = new Uint32Array(4);
  philox(c0!, c1!, c2!, c3!, k0!, k1!, out);
  return out;
}

// Known answers of Random123 1.14 (tests/kat_vectors, philox4x32 10).
test.each([
  ['00000000 00000000 00000000 00000000', '00000000 00000000', '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
  ['ffffffff ffffffff ffffffff ffffffff', 'ffffffff ffffffff', '408f276d 41c83b0e a20bc7c6 6d5451fd'],
  ['243f6a88 85a308d3 13198a2e 03707344', 'a4093822 299f31d0', 'd16cfe09 94fdcceb 5001e420 24126ea1'],
])('philox4x32-10 of %s, %s', (counter, key, expected) => {
  const words = (text: string) => text.split(' ').map((word) => Number.parseInt(word, 16));
  expect(Array.from(philox4x32(words(counter), words(key)))).toEqual(words(expected));
});

describe('RandomStream', () => {
  const take = (stream: RandomStream, n = 6) => Array.from({ length: n }, () => stream.uint32());

  test('the same seed and indices give the same numbers, any other gives others', () => {
    const first = take(new RandomStream(7, RANDOM_SITE.masking, 1, 2));
    expect(take(new RandomStream(7, RANDOM_SITE.masking, 1, 2))).toEqual(first);
    for (const other of [
      new RandomStream(8, RANDOM_SITE.masking, 1, 2),
      new RandomStream(7 + 2 ** 32, RANDOM_SITE.masking, 1, 2),
      new RandomStream(7, RANDOM_SITE.shuffle, 1, 2),
      new RandomStream(7, RANDOM_SITE.masking, 2, 2),
      new RandomStream(7, RANDOM_SITE.masking, 1, 3),
    ]) {
      expect(take(other)).not.toEqual(first);
    }
    expect(first.slice(0, 4)).toEqual(Array.from(philox4x32([0, 1, 2, RANDOM_SITE.masking], [7, 0])));
  });

  test('below and uniform are even', () => {
    const stream = new RandomStream(3, RANDOM_SITE.synthetic);
    const counts = new Array(6).fill(0);
    let sum = 0;
    let inside = true;
    for (let i = 0; i < 60_000; i++) {
      counts[stream.below(6)]++;
      const u = stream.uniform();
      inside &&= u >= 0 && u < 1;
      sum += u;
    }
    expect(inside).toBe(true);
    // 10,000 expected each; 5 standard deviations are 456.
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(456);
    expect(Math.abs(sum / 60_000 - 0.5)).toBeLessThan(0.006);
  });

  test('shuffle: every permutation of three comes up equally often', () => {
    const stream = new RandomStream(5, RANDOM_SITE.shuffle);
    const counts = new Map<string, number>();
    for (let i = 0; i < 12_000; i++) {
      const key = stream.shuffle([0, 1, 2]).join('');
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const count of counts.values()) expect(Math.abs(count - 2000)).toBeLessThan(210);
  });
});
