import { RANDOM_SITE, RandomStream } from '../../../src/base/philox';
import { countBatches, type PackOptions, planBatches } from '../../../src/data/batch/batch_plan';
import { packBatch } from '../../../src/data/batch/packing';
import { type EncodedExample, IGNORE_LABEL } from '../../../src/data/tokenize/encoded_example';
import { errorMessage } from '../../io/temporary';

function randomLengths(seed: number, n: number, most = 60): number[] {
  const random = new RandomStream(seed, RANDOM_SITE.synthetic);
  return Array.from({ length: n }, () => 1 + random.below(most));
}

const flat = (batches: Int32Array[]) => batches.flatMap((batch) => Array.from(batch));

describe('planBatches', () => {
  const combinations: [string, PackOptions][] = [
    ['file order', { batchSize: 7 }],
    ['file order, sorted', { batchSize: 7, sortByLength: true }],
    ['token budget', { tokenBudget: 100 }],
    ['budget and size', { tokenBudget: 90, batchSize: 4 }],
    ['shuffled', { batchSize: 8, shuffleSeed: 1, window: 3 }],
    ['shuffled with budget', { tokenBudget: 128, shuffleSeed: 2, window: 4 }],
    ['shuffled with both', { tokenBudget: 128, batchSize: 5, shuffleSeed: 2, window: 4 }],
    ['shuffled, not sorted', { batchSize: 8, shuffleSeed: 3, sortByLength: false }],
    ['defaults', {}],
  ];

  test.each(combinations)('%s: every example once, limits kept, no batch empty, the same again', (_, options) => {
    for (const [seed, n] of [
      [1, 0],
      [2, 1],
      [3, 8],
      [4, 333],
      [5, 1000],
    ] as const) {
      const lengths = randomLengths(seed, n);
      const batches = planBatches(lengths, options);
      expect(flat(batches).sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
      for (const batch of batches) {
        const tokens = batch.reduce((sum, i) => sum + lengths[i]!, 0);
        expect(batch.length).toBeGreaterThan(0);
        expect(batch.length).toBeLessThanOrEqual(options.batchSize ?? (options.tokenBudget ? n : 32));
        expect(tokens).toBeLessThanOrEqual(options.tokenBudget ?? Number.POSITIVE_INFINITY);
      }
      expect(planBatches(Int32Array.from(lengths), options)).toEqual(batches);
      expect(countBatches(lengths, options)).toBe(batches.length);
    }
  });

  test('without a seed the order is that of the file', () => {
    const lengths = randomLengths(6, 100);
    expect(flat(planBatches(lengths, { batchSize: 9 }))).toEqual(lengths.map((_, i) => i));
    expect(planBatches(lengths, { batchSize: 9 }).map((batch) => batch.length)).toEqual([...new Array(11).fill(9), 1]);
    const sorted = flat(planBatches(lengths, { batchSize: 9, sortByLength: true }));
    for (let i = 1; i < sorted.length; i++) {
      const [a, b] = [sorted[i - 1]!, sorted[i]!];
      expect(lengths[a]! < lengths[b]! || (lengths[a] === lengths[b] && a < b)).toBe(true);
    }
  });

  test('seed and epoch decide the order', () => {
    const lengths = randomLengths(7, 500);
    const plan = (shuffleSeed: number, epoch?: number) =>
      planBatches(lengths, { batchSize: 8, shuffleSeed, ...(epoch === undefined ? {} : { epoch }) });
    expect(plan(1)).toEqual(plan(1, 0));
    expect(plan(1)).not.toEqual(plan(2));
    expect(plan(1)).not.toEqual(plan(1, 1));
    // Examples that meet in one epoch rarely meet in the next.
    const together = (batches: Int32Array[]) =>
      new Set(
        batches.flatMap((batch) =>
          Array.from(batch).flatMap((a) => Array.from(batch, (b) => (a < b ? a * 500 + b : -1))),
        ),
      );
    const [one, two] = [together(plan(1, 0)), together(plan(1, 1))];
    const shared = [...one].filter((pair) => pair >= 0 && two.has(pair)).length;
    expect(shared / one.size).toBeLessThan(0.3);
  });

  test('sorting in windows saves what padding would cost, and the batches of a window come in random order', () => {
    const lengths = randomLengths(8, 4000);
    const spread = (batches: Int32Array[]) =>
      batches.reduce((sum, batch) => {
        const own = Array.from(batch, (i) => lengths[i]!);
        return sum + Math.max(...own) - Math.min(...own);
      }, 0) / batches.length;
    const sorted = planBatches(lengths, { batchSize: 16, shuffleSeed: 1 });
    expect(spread(sorted)).toBeLessThan(3);
    expect(spread(planBatches(lengths, { batchSize: 16, shuffleSeed: 1, sortByLength: false }))).toBeGreaterThan(40);
    const firstLengths = sorted.slice(0, 50).map((batch) => lengths[batch[0]!]!);
    const rises = firstLengths.slice(1).filter((length, i) => length >= firstLengths[i]!).length;
    expect(rises).toBeGreaterThan(10);
    expect(rises).toBeLessThan(40);
    // A window is a random sample: its mean length is that of all.
    const inWindow = flat(sorted.slice(0, 50)).map((i) => lengths[i]!);
    expect(Math.abs(inWindow.reduce((a, b) => a + b) / inWindow.length - 30.5)).toBeLessThan(2.5);
  });

  test.each([
    [[5], { batchSize: 0 }, /batchSize is 0/],
    [[5], { batchSize: 1.5 }, /batchSize is 1.5/],
    [[5], { tokenBudget: -1 }, /tokenBudget is -1/],
    [[5], { window: 0 }, /window is 0/],
    [[5], { shuffleSeed: -1 }, /shuffleSeed is -1/],
    [[5], { shuffleSeed: Number.NaN }, /shuffleSeed is NaN/],
    [[5], { epoch: 0.5 }, /epoch is 0.5/],
    [[5, 0], {}, /example 1 has 0 tokens/],
    [[5, 600], { tokenBudget: 512 }, /example 1 has 600 tokens, more than the tokenBudget of 512: raise/],
  ] as const)('refuses %j with %j', (lengths, options, message) => {
    expect(errorMessage('INVALID_ARGUMENT', () => planBatches(lengths, options))).toMatch(message);
  });
});

describe('packBatch', () => {
  const example = (ids: number[], more: Partial<EncodedExample> = {}): EncodedExample => ({
    inputIds: Int32Array.from(ids),
    tokenTypeIds: new Int32Array(ids.length),
    ...more,
  });
  const i32 = (...values: number[]) => Int32Array.of(...values);

  test('lays sequences end to end', () => {
    const encoded = [
      example([0, 10, 2], { label: 1 }),
      example([0, 99, 98, 97, 2], { label: 0 }),
      { ...example([0, 2], { label: 2 }), tokenTypeIds: i32(0, 1) },
    ];
    expect(packBatch(encoded, i32(2, 0), { offset: 2 })).toEqual({
      tensors: {
        inputIds: i32(0, 2, 0, 10, 2),
        positionIds: i32(2, 3, 2, 3, 4),
        tokenTypeIds: i32(0, 1, 0, 0, 0),
        cuSeqlens: i32(0, 2, 5),
        labels: i32(2, 1),
        firstToken: i32(0, 2),
      },
      sizes: { T: 5, S: 2, M: 0 },
      exampleIndices: i32(2, 0),
      lossRows: 2,
    });
    expect(packBatch(encoded, i32(1), { offset: 0 }).tensors['positionIds']).toEqual(i32(0, 1, 2, 3, 4));
  });

  test('carries every kind of label', () => {
    const regression = [example([0, 2], { targets: [0.5, -1] }), example([0, 2], { targets: [2, 3] })];
    const { tensors, lossRows } = packBatch(regression, i32(0, 1), { offset: 0 });
    expect(tensors['targets']).toEqual(Float32Array.of(0.5, -1, 2, 3));
    expect(lossRows).toBe(2);
    const tokens = [
      example([0, 5, 2], { tokenLabels: i32(IGNORE_LABEL, 4, IGNORE_LABEL) }),
      example([0, 2], { tokenLabels: i32(1, 0) }),
    ];
    const words = packBatch(tokens, i32(1, 0), { offset: 0 });
    expect(words.tensors['labels']).toEqual(i32(1, 0, IGNORE_LABEL, 4, IGNORE_LABEL));
    expect(words.lossRows).toBe(3);
    const masked = [
      example([0, 50, 7, 2], { masked: { positions: i32(1), labels: i32(33) } }),
      example([0, 50, 50, 2], { masked: { positions: i32(1, 2), labels: i32(8, 9) } }),
    ];
    const batch = packBatch(masked, i32(0, 1), { offset: 2 });
    expect(batch.tensors['rowIndex']).toEqual(i32(1, 5, 6));
    expect(batch.tensors['labels']).toEqual(i32(33, 8, 9));
    expect([batch.sizes.M, batch.lossRows]).toEqual([3, 3]);
    const bare = packBatch([example([0, 2])], i32(0), { offset: 2 });
    expect(bare.tensors).not.toHaveProperty('labels');
    expect(bare.tensors).not.toHaveProperty('targets');
    expect(bare.lossRows).toBe(0);
  });

  test('whatever the plan, the batches hold all tokens of all examples', () => {
    const lengths = randomLengths(9, 200, 20);
    const random = new RandomStream(10, RANDOM_SITE.synthetic);
    const encoded = lengths.map((n) => example(Array.from({ length: n }, () => random.below(1000))));
    for (const options of [{ tokenBudget: 64, shuffleSeed: 4 }, { batchSize: 6 }]) {
      for (const indices of planBatches(lengths, options)) {
        const batch = packBatch(encoded, indices, { offset: 2, maxPositions: 22 });
        const { inputIds, cuSeqlens, firstToken } = batch.tensors as Record<string, Int32Array>;
        expect(batch.sizes.T).toBe(inputIds!.length);
        expect(cuSeqlens!.at(-1)).toBe(batch.sizes.T);
        indices.forEach((index, s) => {
          expect(inputIds!.slice(cuSeqlens![s], cuSeqlens![s + 1])).toEqual(encoded[index]!.inputIds);
          expect(firstToken![s]).toBe(cuSeqlens![s]);
        });
      }
    }
  });

  test.each([
    ['an index out of range', [example([1])], i32(1), /example 1 is missing/],
    ['an empty example', [example([])], i32(0), /example 0 is missing, empty/],
    ['token types of another length', [{ ...example([1]), tokenTypeIds: i32(0, 0) }], i32(0), /token types/],
    [
      'labels in part',
      [example([1], { label: 1 }), example([1])],
      i32(0, 1),
      /examples 0 and 1.*one has label, the other no label/,
    ],
    [
      'unequal targets',
      [example([1], { targets: [1] }), example([1], { targets: [1, 2] })],
      i32(0, 1),
      /example 1 has 2 targets/,
    ],
    [
      'token labels of another length',
      [example([1], { tokenLabels: i32(1, 2) })],
      i32(0),
      /2 token labels for 1 tokens/,
    ],
    [
      'more tokens than positions',
      [example([1, 2, 3, 4])],
      i32(0),
      /example 0 has 4 tokens.*positions for 3: lower maxLength to 3/,
    ],
  ])('refuses %s', (_, encoded, indices, message) => {
    expect(errorMessage('INVALID_ARGUMENT', () => packBatch(encoded, indices, { offset: 2, maxPositions: 5 }))).toMatch(
      message,
    );
  });
});
