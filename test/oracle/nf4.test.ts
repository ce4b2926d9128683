/**
 * NF4 weights as products multiply them against bitsandbytes' on a CPU, value by value.
 * The fixture is of scripts/oracle/make_nf4_fixture.py, the formulas of native/ops/base_weights.h.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { linear, loraLinearBackward } from '../../src/kernels';

interface Case {
  rows: number;
  cols: number;
  /** Of all values, two a byte, the first in the high half. */
  codes: string;
  /** Of each block of 64. */
  scaleCodes: string;
  /** Of each block of 256 scales. */
  nested: string;
  mean: number;
  /** Values that bitsandbytes gives back. */
  first: string;
}
interface Fixture {
  codeValues: string;
  scaleValues: string;
  cases: Case[];
}

const file = path.join(__dirname, '..', 'fixtures', 'oracle', 'nf4.json');
const fixture = JSON.parse(fs.readFileSync(file, 'utf8')) as Fixture;
const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'base64'));
const floats = (text: string) => new Float32Array(bytes(text).buffer);
const codeValues = floats(fixture.codeValues);
const scaleValues = floats(fixture.scaleValues);

/** Those of make_nf4_fixture.py. */
function weights({ rows, cols }: Case): Float32Array {
  return Float32Array.from({ length: rows * cols }, (_, i) => {
    const n = Math.floor(i / cols);
    return n === 1 ? 0 : (2 ** ((n % 5) - 4) * (((i * 7919) % 10_007) - 5003)) / 8192;
  });
}

/** What bitsandbytes reads from its codes, in fp32 as it does. */
function expected({ rows, cols, ...one }: Case): Float32Array {
  const [codes, scaleCodes, nested] = [bytes(one.codes), bytes(one.scaleCodes), floats(one.nested)];
  return Float32Array.from({ length: rows * cols }, (_, i) => {
    const byte = codes[i >> 1]!;
    const block = Math.floor(i / 64);
    const scale = Math.fround(scaleValues[scaleCodes[block]!]! * nested[block >> 8]!) + one.mean;
    // A sum with zeros is never -0.
    return codeValues[i % 2 === 0 ? byte >> 4 : byte & 15]! * Math.fround(scale) + 0;
  });
}

const identity = (size: number) => Float32Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0));
const transposed = (values: Float32Array, rows: number, cols: number) =>
  Float32Array.from({ length: values.length }, (_, i) => values[(i % rows) * cols + Math.floor(i / rows)]!);

describe.each(fixture.cases)('$rows × $cols', (one) => {
  const { rows, cols } = one;
  const weight = { data: weights(one), shape: [rows, cols] as [number, number] };
  const wanted = expected(one);

  test('the formula gives what bitsandbytes gave', () => {
    expect([...wanted.slice(0, 64)]).toEqual(Array.from(floats(one.first), (value) => value + 0));
  });

  test('x Wᵀ multiplies those values', async () => {
    const { y } = await linear({ x: { data: identity(cols), shape: [cols, cols] }, weight }, { baseWeights: 'nf4' });
    expect([...(y as { data: Float32Array }).data]).toEqual([...transposed(wanted, rows, cols)]);
  });

  test('dy W multiplies the same', async () => {
    const zeros = (...shape: [number, number]) => ({ data: new Float32Array(shape[0] * shape[1]), shape });
    const { dx } = await loraLinearBackward(
      {
        ...{ dy: { data: identity(rows), shape: [rows, rows] }, x: zeros(rows, cols), u: zeros(rows, 1), weight },
        ...{ A: zeros(1, cols), B: zeros(rows, 1), scaling: 1 },
      },
      { baseWeights: 'nf4' },
    );
    expect([...(dx as { data: Float32Array }).data]).toEqual([...wanted]);
  });
});
