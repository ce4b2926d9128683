/**
 * Fingerprints stand in checkpoints: those that version 0.1.0 wrote must name the same data for
 * ever.
 */
import { type EncodedExample, EncodedSource, MaskedSource, StreamedSource } from '../../../src';

const i32 = (...values: number[]) => Int32Array.of(...values);
const positions = { offset: 2, maxPositions: 514 };
const classes: EncodedExample[] = [
  { inputIds: i32(0, 10, 2), tokenTypeIds: i32(0, 0, 0), label: 1 },
  { inputIds: i32(0, 2), tokenTypeIds: i32(0, 1), label: 0 },
];
const numbers: EncodedExample[] = [{ inputIds: i32(0, 2), tokenTypeIds: i32(0, 0), targets: [0.5, -1] }];
const words: EncodedExample[] = [
  { inputIds: i32(0, 5, 2), tokenTypeIds: i32(0, 0, 0), tokenLabels: i32(-100, 4, -100) },
];
const open = (examples: EncodedExample[], seed = 3) => {
  const shard = async function* () {
    yield examples;
  };
  return StreamedSource.open([shard], async (some: readonly EncodedExample[]) => some, {
    positions,
    seed,
    tokenBudget: 64,
  });
};

test.each([
  ['classes', classes, '630e1dff8cc313f976c362582712b9f0', 'd1ed8ecbf87ddd64bae0e8835289ac17'],
  ['numbers', numbers, 'efae0e49901af56955b5d1623f91cd3b', '68fddb92d32c3702dfa443ecd676b7df'],
  ['words', words, '77392d6e898cf930e45782e9dbcc7989', 'b831e6173c54cb78245955e020fa8220'],
])('of %s, in memory and streamed', async (_, examples, inMemory, streamed) => {
  const source = new EncodedSource(examples, { positions, seed: 3, batchSize: 2 });
  expect(source.fingerprint).toBe(inMemory);
  expect((await open(examples)).fingerprint).toBe(streamed);
});

test('of masked pieces', () => {
  const vocabulary = { maskTokenId: 4, vocabSize: 50, specialTokenIds: new Set([0, 2, 4]) };
  const pieces = [{ inputIds: i32(0, 2), tokenTypeIds: i32(0, 0) }];
  const options = { positions, seed: 3, tokenBudget: 64, vocabulary, maskProbability: 0.2 };
  expect(new MaskedSource(pieces, options).fingerprint).toBe('0883ec10bae169d247ae3df2508419cc');
});

test('other labels, another order of the texts or another seed have another one', async () => {
  const of = (examples: EncodedExample[], seed = 3) => new EncodedSource(examples, { positions, seed }).fingerprint;
  const relabelled = [{ ...classes[0]!, label: 0 }, classes[1]!];
  const all = [of(classes), of(classes, 4), of(relabelled), of([...classes].reverse())];
  expect(new Set(all).size).toBe(4);
  const streamed = [open(classes), open(classes, 4), open(relabelled), open([...classes].reverse())];
  expect(new Set((await Promise.all(streamed)).map(({ fingerprint }) => fingerprint)).size).toBe(4);
});
