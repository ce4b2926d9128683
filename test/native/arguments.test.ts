/**
 * What the addon takes from JavaScript: every list, shape and
 * array read once, and refused where it is not what it should be.
 * Through the public kernels: test/kernels.test.ts. Steps that are cut off: lifecycle.test.ts.
 */
import { type NativeTensor, native } from '../../src/native';

const STEP = { seed: 0n, forwardNumber: 0, lossScale: 1 };
const floats = (...shape: number[]): NativeTensor => ({
  data: new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(1),
  shape,
});

function run(
  op: string,
  inputs: (NativeTensor | undefined)[],
  outputs: NativeTensor[],
  attributes: Record<string, number | string> = {},
  backend = 'cpu',
): Promise<number> {
  // What is thrown at once and what comes later are one here.
  return Promise.resolve().then(() => native().runOp(backend, op, inputs, outputs, attributes, STEP));
}

/** An array whose element `at` runs `trap` when it is read, and is `value`. */
function trapped<T>(entries: T[], at: number, trap: (array: T[]) => void): T[] {
  const array = [...entries];
  const value = array[at]!;
  Object.defineProperty(array, at, {
    enumerable: true,
    configurable: true,
    get: () => {
      trap(array);
      return value;
    },
  });
  return array;
}

describe('shapes', () => {
  const wraps = [2 ** 32, 2 ** 32];

  it.each([
    ['a product that wraps to none', wraps],
    ['the largest dimensions', [2 ** 40, 2 ** 40]],
    ['a dimension beyond them', [2 ** 41, 0]],
    ['a product beyond memory', [2 ** 40, 2]],
    ['a negative dimension', [-1, 0]],
    ['NaN', [Number.NaN, 0]],
    ['1e300', [1e300, 0]],
    ['no dimension', []],
    ['three', [1, 1, 0]],
    ['an array that says it is very long', Array(2 ** 32 - 1)],
  ])('%s of an empty array is refused, whichever operand has it', async (_, shape) => {
    const empty = { data: new Float32Array(0), shape };
    const code = { code: expect.stringMatching(/^INVALID_/) };
    for (const backend of ['cpu', 'reference']) {
      await expect(run('linear', [empty, floats(2, 3)], [floats(2, 2)], {}, backend)).rejects.toMatchObject(code);
      await expect(run('linear', [floats(2, 3), empty], [floats(2, 2)], {}, backend)).rejects.toMatchObject(code);
      await expect(run('linear', [floats(2, 3), floats(2, 3)], [empty], {}, backend)).rejects.toMatchObject(code);
    }
    const indices = { data: new Int32Array(0), shape };
    await expect(run('gatherRows', [floats(2, 3), indices], [floats(2, 3)])).rejects.toMatchObject(code);
    expect(() => new (native().Parameter)('cpu', 'p', shape, 'f32')).toThrow(expect.objectContaining(code));
  });

  it('of the values of a program may not multiply to more than memory has', () => {
    const table = new (native().Parameter)('cpu', 'table', [1, 2 ** 20], 'f32');
    const program = new (native().Program)({
      backend: 'cpu',
      compute: 'f32',
      parameters: [table],
      values: [
        { name: 'ids', kind: 'input', dtype: 'i32', shape: ['T'] },
        { name: 'table', kind: 'parameter', dtype: 'float', shape: [1, 2 ** 20], parameter: 0 },
        { name: 'x', kind: 'computed', dtype: 'float', shape: ['T', 2 ** 20], output: true },
      ],
      instructions: [{ op: 'embeddingSum', inputs: [0, 1], outputs: [2], attributes: {}, path: 'embeddings' }],
      forwardCount: 1,
      fill: () => table.write('value', new Float32Array(2 ** 20)),
    });
    expect(program.arenaBytes({ T: 4, S: 1, M: 0 })).toBeGreaterThanOrEqual(4 * 2 ** 22);
    expect(() => program.arenaBytes({ T: 2 ** 30, S: 1, M: 0 })).toThrow(
      expect.objectContaining({ code: 'INVALID_SHAPE', message: expect.stringMatching(/^x is f32\[1073741824,/) }),
    );
    program.dispose();
    table.dispose();
  });

  it('a matrix has columns; it may have no rows', async () => {
    await expect(run('linear', [floats(2, 0), floats(2, 0)], [floats(2, 2)])).rejects.toMatchObject({
      code: 'INVALID_SHAPE',
      message: 'linear: x is f32[2,0]: it has no columns',
    });
    await expect(run('linear', [floats(0, 3), floats(2, 3)], [floats(0, 2)])).resolves.toBeGreaterThanOrEqual(0);
  });

  it('of an arena may not add up to more than memory has', () => {
    const many = Array.from({ length: 2 ** 14 }, () => 2 ** 50);
    const ends = many.map(() => 5);
    expect(() => native().arenaBytes(many, ends, ends)).toThrow(expect.objectContaining({ code: 'OUT_OF_MEMORY' }));
  });
});

describe('lists that change while they are read', () => {
  it('a shape', async () => {
    const shape = trapped([2, 3], 0, (array) => array.push(...Array(1000).fill(1)));
    const x = { data: new Float32Array(6), shape };
    await expect(run('linear', [x, floats(2, 3)], [floats(2, 2)])).resolves.toBeGreaterThanOrEqual(0);
  });

  it('indices', () => {
    const first = trapped([0, 0], 0, (array) => array.push(...Array(100_000).fill(0)));
    expect(native().arenaBytes([1, 1], first, [0, 0])).toBe(128);
    const last = trapped([0, 0], 0, (array) => {
      array.length = 1;
    });
    expect(() => native().arenaBytes([1, 1], [0, 0], last)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });

  it('operands', async () => {
    const inputs = trapped([floats(2, 3), floats(2, 3)], 0, (array) => array.push(...Array(64).fill(floats(2, 3))));
    await expect(run('linear', inputs, [floats(2, 2)])).resolves.toBeGreaterThanOrEqual(0);
    await expect(run('linear', Array(13).fill(floats(1, 1)), [floats(1, 1)])).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/inputs has 13 entries/),
    });
  });

  it('an operand that detaches the array of another', async () => {
    const data = new Float32Array(6).fill(1);
    const x = { data, shape: [2, 3] };
    const weight = {
      get data() {
        structuredClone(data.buffer, { transfer: [data.buffer] } as never);
        return new Float32Array(6).fill(1);
      },
      shape: [2, 3],
    };
    const y = floats(2, 2);
    await run('linear', [x, weight], [y]);
    expect(y.data).toEqual(new Float32Array(4).fill(3));
  });
});

describe('attributes', () => {
  const x = floats(2, 4);
  const attention = (attributes: Record<string, unknown>) =>
    run(
      'attention',
      [x, x, x, { data: Int32Array.of(0, 2), shape: [2] }],
      [floats(2, 4)],
      attributes as Record<string, number>,
    );

  it.each([
    ['none at all', {}, /'numHeads' is missing/],
    ['one that the op has not', { numHeads: 2, heads: 2 }, /has no attribute 'heads'/],
    ['a word for a number', { numHeads: 'two' }, /'numHeads' must be a number/],
    ['NaN', { numHeads: Number.NaN }, /'numHeads' is nan/],
    ['Infinity', { numHeads: Number.POSITIVE_INFINITY }, /'numHeads' is inf/],
    ['1e300', { numHeads: 1e300 }, /numHeads is 1\d+.*expected a whole number/],
    ['a fraction', { numHeads: 1.5 }, /numHeads is 1\.5/],
    ['a negative number', { numHeads: -2 }, /numHeads is -2/],
    ['a site beyond 32 bits', { numHeads: 2, site: 2 ** 32 }, /site is 4294967296/],
    ['an object', { numHeads: {} }, /numHeads must be a number/],
    ['a list in place of them', [1], /has no attribute '0'/],
  ])('%s: refused', async (_, attributes, message) => {
    await expect(attention(attributes as never)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message),
    });
  });

  it('a proxy answers once, and what it throws comes out', async () => {
    const good = new Proxy({ numHeads: 2 }, {});
    await expect(attention(good)).resolves.toBeGreaterThanOrEqual(0);
    const bad = new Proxy({ numHeads: 2 }, { ownKeys: () => Array.from({ length: 100 }, (_, i) => `key${i}`) });
    await expect(attention(bad)).rejects.toThrow();
    const throwing = new Proxy(
      { numHeads: 2 },
      {
        get: () => {
          throw new RangeError('mine');
        },
      },
    );
    await expect(attention(throwing)).rejects.toThrow('mine');
  });

  it.each([
    ['crossEntropy', 'ignoreIndex', 1e300],
    ['crossEntropy', 'ignoreIndex', 0.5],
    ['embeddingBackward', 'paddingIndex', 2 ** 31],
    ['embeddingBackward', 'paddingIndex', -2],
  ])('%s: %s of %p is refused', async (op, name, value) => {
    const indices = { data: Int32Array.of(0, 1), shape: [2] };
    const [inputs, output] =
      op === 'crossEntropy' ? [[floats(2, 3), indices], floats(1)] : [[indices, floats(2, 3)], floats(2, 3)];
    await expect(run(op, inputs, [output], { [name]: value })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(`${op}: ${name} is`),
    });
  });
});

describe('a program', () => {
  it('has no loss where no instruction writes it, and no value of a parameter that is only packed', async () => {
    const table = new (native().Parameter)('cpu', 'table', [4, 3], 'f32');
    const weight = new (native().Parameter)('cpu', 'weight', [2, 3], 'f32');
    weight.write('value', new Float32Array(6).fill(1));
    table.write('value', new Float32Array(12).fill(1));
    const program = new (native().Program)({
      backend: 'cpu',
      compute: 'f32',
      parameters: [table, weight],
      values: [
        { name: 'ids', kind: 'input', dtype: 'i32', shape: ['T'] },
        { name: 'table', kind: 'parameter', dtype: 'float', shape: [4, 3], parameter: 0 },
        { name: 'weight', kind: 'parameter', dtype: 'float', shape: [2, 3], parameter: 1, output: true },
        { name: 'x', kind: 'computed', dtype: 'float', shape: ['T', 3] },
        { name: 'y', kind: 'computed', dtype: 'float', shape: ['T', 2], output: true },
        { name: 'loss', kind: 'computed', dtype: 'float', shape: [1], output: true },
      ],
      instructions: [
        { op: 'embeddingSum', inputs: [0, 1], outputs: [3], attributes: {}, path: 'embeddings' },
        { op: 'linear', inputs: [3, 2], outputs: [4], attributes: {}, path: 'layer' },
      ],
      forwardCount: 2,
      packed: (index) => (index === 1 ? weight.release('value') : undefined),
    });
    await program.accumulate({ ids: Int32Array.of(0, 1) }, { T: 2, S: 1, M: 0 }, STEP, true);
    expect(program.read(4)).toEqual(new Float32Array(4).fill(3));
    for (const value of [2, 5])
      expect(() => program.read(value)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    for (const one of [program, table, weight]) one.dispose();
  });
});

describe('handles', () => {
  it('are known by what they are, not by their prototype', async () => {
    const { Parameter } = native();
    const forged = [
      Object.create(Parameter.prototype),
      Object.setPrototypeOf({ data: new Float32Array(4), shape: [2, 2] }, Parameter.prototype),
      Object.setPrototypeOf(new Date(), Parameter.prototype),
    ];
    for (const one of forged.slice(0, 1))
      await expect(run('scale', [one], [floats(2, 2)], { factor: 1 })).rejects.toMatchObject({
        code: expect.stringMatching(/^INVALID_/),
      });
    for (const one of forged)
      expect(
        () =>
          new (native().Program)({
            backend: 'cpu',
            compute: 'f32',
            parameters: [one],
            values: [],
            instructions: [],
            forwardCount: 0,
          }),
      ).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    const program = new (native().Program)({
      backend: 'cpu',
      compute: 'f32',
      parameters: [],
      values: [],
      instructions: [],
      forwardCount: 0,
    });
    Object.setPrototypeOf(program, Parameter.prototype);
    expect(() => (program as unknown as { read(slot: string): unknown }).read('value')).toThrow();
    await expect(run('scale', [program as never], [floats(2, 2)], { factor: 1 })).rejects.toMatchObject({
      code: expect.stringMatching(/^INVALID_/),
    });
  });

  it('take arrays as long as they are, and only whole ones', () => {
    const parameter = new (native().Parameter)('cpu', 'p', [4], 'f32');
    const buffer = Reflect.construct(ArrayBuffer, [16, { maxByteLength: 64 }]) as ArrayBuffer & {
      resize(bytes: number): void;
    };
    const tracking = new Float32Array(buffer);
    parameter.write('value', tracking);
    buffer.resize(8);
    expect(() => parameter.write('value', tracking)).toThrow(expect.objectContaining({ code: 'INVALID_SHAPE' }));
    expect(() => parameter.restorePart(tracking, 3)).toThrow(expect.objectContaining({ code: 'INVALID_SHAPE' }));
    expect(() => parameter.restorePart(tracking, 2 ** 53)).toThrow();
    for (const at of [-1, Number.NaN, 1e300, 0.5]) expect(() => parameter.restorePart(tracking, at)).toThrow();
    structuredClone(buffer, { transfer: [buffer] } as never);
    expect(() => parameter.write('value', tracking)).toThrow(expect.objectContaining({ code: 'INVALID_SHAPE' }));
    expect(() => parameter.write('value', new DataView(new ArrayBuffer(16)) as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
    parameter.dispose();
  });
});
