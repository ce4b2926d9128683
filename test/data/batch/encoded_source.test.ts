import { EncodedSource } from '../../../src/data/batch/encoded_source';
import { cutPieces, MaskedSource, type MaskingVocabulary } from '../../../src/data/batch/masked_source';
import { type EncodedExample, IGNORE_LABEL } from '../../../src/data/tokenize/encoded_example';

const positions = { offset: 2, maxPositions: 130 };

function example(length: number, label?: number): EncodedExample {
  return {
    inputIds: Int32Array.from({ length }, (_, t) => 10 + ((length * 7 + t) % 80)),
    tokenTypeIds: new Int32Array(length),
    ...(label !== undefined && { label }),
  };
}

const examples = Array.from({ length: 23 }, (_, i) => example(3 + ((i * 5) % 11), i % 2));

function seen(source: EncodedSource, epoch: number): number[] {
  const batches = source.epoch(epoch);
  return Array.from({ length: batches.length }, (_, i) => [...batches.at(i).exampleIndices]).flat();
}

describe('EncodedSource', () => {
  it('gives every example once an epoch, in an order of the seed and the epoch', () => {
    const source = new EncodedSource(examples, { positions, batchSize: 4, seed: 3 });
    const first = seen(source, 0);
    expect([...first].sort((a, b) => a - b)).toEqual(examples.map((_, i) => i));
    expect(seen(source, 0)).toEqual(first);
    expect(seen(source, 1)).not.toEqual(first);
    expect(seen(new EncodedSource(examples, { positions, batchSize: 4, seed: 4 }), 0)).not.toEqual(first);
  });

  it('names the batch with the most tokens', () => {
    const batches = new EncodedSource(examples, { positions, batchSize: 4, seed: 3 }).epoch(0);
    const tokens = Array.from({ length: batches.length }, (_, i) => batches.at(i).sizes.T);
    expect(tokens[batches.largest]).toBe(Math.max(...tokens));
  });

  it('sorts by length for evaluation and keeps to the token budget', () => {
    const source = new EncodedSource(examples, { positions, tokenBudget: 30, shuffle: false });
    const batches = source.epoch(0);
    const lengths: number[] = [];
    for (let i = 0; i < batches.length; i++) {
      const batch = batches.at(i);
      expect(batch.sizes.T).toBeLessThanOrEqual(30);
      expect(batch.tensors['inputIds']).toHaveLength(batch.sizes.T);
      expect(batch.tensors['cuSeqlens']).toHaveLength(batch.sizes.S + 1);
      for (const index of batch.exampleIndices) lengths.push(examples[index]!.inputIds.length);
    }
    expect(lengths).toEqual([...lengths].sort((a, b) => a - b));
  });

  it('counts the rows that the loss is a mean over', () => {
    const tokens = { ...example(5), tokenLabels: Int32Array.of(IGNORE_LABEL, 1, 0, 2, IGNORE_LABEL) };
    const lossRows = (all: EncodedExample[]) =>
      new EncodedSource(all, { positions, batchSize: 8 }).epoch(0).at(0).lossRows;
    expect(lossRows([tokens, tokens])).toBe(6);
    expect(lossRows([example(4, 1), example(6, IGNORE_LABEL)])).toBe(1);
    expect(lossRows([{ ...example(4), targets: [0.5, 1] }])).toBe(1);
    expect(lossRows([example(4)])).toBe(0);
  });

  it('has a fingerprint of the data and the options', () => {
    const of = (all: EncodedExample[], seed: number) =>
      new EncodedSource(all, { positions, batchSize: 4, seed }).fingerprint;
    expect(of(examples, 0)).toBe(of([...examples], 0));
    expect(of(examples, 1)).not.toBe(of(examples, 0));
    expect(of([...examples.slice(0, -1), example(13, 0)], 0)).not.toBe(of(examples, 0));
    expect(of([...examples.slice(0, -1), { ...examples.at(-1)!, label: 1 }], 0)).not.toBe(of(examples, 0));
  });

  it('refuses what can not be packed, before anything runs', () => {
    expect(() => new EncodedSource([], { positions })).toThrow(expect.objectContaining({ code: 'INVALID_DATA' }));
    expect(() => new EncodedSource(examples, { positions, tokenBudget: 5 })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('tokenBudget of 5') }),
    );
  });
});

describe('MaskedSource', () => {
  const vocabulary: MaskingVocabulary = { maskTokenId: 99, vocabSize: 100, specialTokenIds: new Set([0, 1, 2, 3, 99]) };
  const documents = Array.from({ length: 6 }, (_, d) =>
    Int32Array.from({ length: 150 + d }, (_, t) => 4 + ((t + d) % 90)),
  );
  const pieces = cutPieces(documents, { maxLength: 32, beginTokenId: 0, endTokenId: 2 });
  const source = new MaskedSource(pieces, { positions, tokenBudget: 256, seed: 5, vocabulary });

  it('cuts documents into pieces between special tokens', () => {
    expect(pieces).toHaveLength(6 * 5);
    expect(pieces.every(({ inputIds }) => inputIds[0] === 0 && inputIds.at(-1) === 2)).toBe(true);
    expect(pieces.slice(0, 5).flatMap(({ inputIds }) => [...inputIds.slice(1, -1)])).toEqual([...documents[0]!]);
    // 4 tokens are left of 34, fewer than minLength.
    expect(cutPieces([new Int32Array(34)], { maxLength: 32, beginTokenId: 0, endTokenId: 2 })).toHaveLength(1);
  });

  it('masks 15 % of the ordinary tokens by the 80-10-10 recipe and asks for what stood there', () => {
    let [chosen, masked, kept, tokens] = [0, 0, 0, 0];
    for (let epoch = 0; epoch < 20; epoch++) {
      const batches = source.epoch(epoch);
      for (let i = 0; i < batches.length; i++) {
        const { tensors, sizes, lossRows, exampleIndices } = batches.at(i);
        const { inputIds, rowIndex, labels, cuSeqlens } = tensors as Record<string, Int32Array>;
        expect(lossRows).toBe(sizes.M);
        const original = Int32Array.from([...exampleIndices].flatMap((index) => [...pieces[index]!.inputIds]));
        const changed = inputIds!.map((id, t) => (id === original[t] ? 0 : 1));
        rowIndex!.forEach((t, m) => {
          expect(labels![m]).toBe(original[t]);
          changed[t] = 0;
          if (inputIds![t] === 99) masked++;
          else if (inputIds![t] === labels![m]) kept++;
          else expect(vocabulary.specialTokenIds.has(inputIds![t]!)).toBe(false);
        });
        expect(changed.some(Boolean)).toBe(false);
        chosen += sizes.M;
        tokens += sizes.T - 2 * (cuSeqlens!.length - 1);
      }
    }
    expect(chosen / tokens).toBeCloseTo(0.15, 1);
    expect(masked / chosen).toBeGreaterThan(0.77);
    expect(masked / chosen).toBeLessThan(0.83);
    expect(kept / chosen).toBeGreaterThan(0.08);
    expect(kept / chosen).toBeLessThan(0.13);
  });

  it('masks other tokens in each epoch, the same ones for the same seed', () => {
    const rows = (s: MaskedSource, epoch: number) =>
      Array.from({ length: s.epoch(epoch).length }, (_, i) => [
        ...(s.epoch(epoch).at(i).tensors['labels'] as Int32Array),
      ]);
    const again = new MaskedSource(pieces, { positions, tokenBudget: 256, seed: 5, vocabulary });
    expect(rows(again, 1)).toEqual(rows(source, 1));
    expect(rows(source, 0)).not.toEqual(rows(source, 1));
  });

  it('refuses impossible settings', () => {
    const make = (options: object) => () => new MaskedSource(pieces, { positions, vocabulary, ...options });
    expect(make({ maskProbability: 0 })).toThrow('maskProbability is 0');
    expect(make({ vocabulary: { ...vocabulary, specialTokenIds: new Set([0]) } })).toThrow('lacks the mask token');
    expect(() => cutPieces([], { maxLength: 2, beginTokenId: 0, endTokenId: 2 })).toThrow('maxLength is 2');
  });
});
