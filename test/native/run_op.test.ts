/** One op alone, as kernels and benchmarks run it: its indices are checked before it runs. */
import { native } from '../../src/native';

const STEP = { seed: 0n, forwardNumber: 0, lossScale: 1 };
const [TOKENS, HIDDEN, QUERIES] = [5, 8, 2];

async function attentionOf(cuSeqlens: number[], queryRows: number[]): Promise<Float32Array> {
  const matrix = (rows: number) => {
    const parameter = new (native().Parameter)('cpu', 'tensor', [rows, HIDDEN], 'f32');
    parameter.write(
      'value',
      Float32Array.from({ length: rows * HIDDEN }, (_, i) => Math.sin(i)),
    );
    return parameter;
  };
  const indices = (values: number[]) => ({ data: Int32Array.from(values), shape: [values.length] });
  const [q, k, v, y] = [matrix(QUERIES), matrix(TOKENS), matrix(TOKENS), matrix(QUERIES)];
  try {
    const inputs = [q, k, v, indices(cuSeqlens), indices(queryRows)];
    await native().runOp('cpu', 'attention', inputs, [y, undefined], { numHeads: 2 }, STEP);
    return y.read('value') as Float32Array;
  } finally {
    for (const parameter of [q, k, v, y]) parameter.dispose();
  }
}

describe('attention for some of the queries', () => {
  it('ends with the tokens of k, of which there are more than queries', async () => {
    const y = await attentionOf([0, 2, 5], [0, 2]);
    expect(y).toHaveLength(QUERIES * HIDDEN);
    // A convex combination of rows of v, none of which is beyond 1.
    expect(y.every((value) => Math.abs(value) <= 1)).toBe(true);
  });

  it.each([
    ['offsets that end at the queries', [0, 1, 2], [0, 1], /cuSeqlens/],
    ['no offsets', [], [0, 1], /cuSeqlens/],
    ['a query beyond the tokens', [0, 2, 5], [0, 5], /queryRows\[1\] is 5, expected 0\.\.4/],
    ['a negative query', [0, 2, 5], [-1, 2], /queryRows\[0\] is -1/],
  ])('refuses %s', async (_, cuSeqlens, queryRows, message) => {
    await expect(attentionOf(cuSeqlens, queryRows)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message),
    });
  });
});
