import { DeviceTensor, type HostTensor, linear, loraLinear, loraLinearBackward } from '../src/kernels';

function random(seed: number, ...shape: number[]): HostTensor {
  let state = seed;
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  });
  return { data, shape };
}

function roundToBf16(value: number): number {
  const bits = new Uint32Array(new Float32Array([value]).buffer);
  bits[0] = (bits[0]! + 0x7fff + ((bits[0]! >>> 16) & 1)) & 0xffff0000;
  return new Float32Array(bits.buffer)[0]!;
}

const dataOf = (tensor: unknown) => (tensor as HostTensor).data;

function expectClose(actual: Float32Array, expected: Float32Array, tolerance: number) {
  expect(actual.length).toBe(expected.length);
  const scale = Math.max(...expected.map(Math.abs));
  const worst = Math.max(...actual.map((value, i) => Math.abs(value - expected[i]!)));
  expect(worst).toBeLessThanOrEqual(tolerance * scale);
}

describe('kernels', () => {
  const [T, K, N, r] = [37, 48, 40, 4];
  const x = random(1, T, K);
  const weight = random(2, N, K);
  const bias = random(3, N);
  const A = random(4, r, K);
  const B = random(5, N, r);
  const scaling = 2;

  it('fused and separate LoRA agree with the formula', async () => {
    const expected = new Float32Array(T * N);
    for (let t = 0; t < T; t++) {
      for (let n = 0; n < N; n++) {
        let sum = bias.data[n]!;
        for (let k = 0; k < K; k++) {
          let w = weight.data[n * K + k]!;
          for (let j = 0; j < r; j++) w += scaling * B.data[n * r + j]! * A.data[j * K + k]!;
          sum += x.data[t * K + k]! * w;
        }
        expected[t * N + n] = sum;
      }
    }
    for (const fused of [true, false]) {
      const { y, seconds } = await loraLinear({ x, weight, bias, A, B, scaling, fused });
      expectClose(dataOf(y), expected, 1e-5);
      expect(seconds).toBeGreaterThan(0);
    }
  });

  it('is the plain layer, bit for bit, while B is zero', async () => {
    const zero = { data: new Float32Array(N * r), shape: [N, r] };
    const lora = await loraLinear({ x, weight, bias, A, B: zero, scaling, activation: 'gelu' });
    const plain = await linear({ x, weight, bias, activation: 'gelu' });
    expect(dataOf(lora.y)).toEqual(dataOf(plain.y));
  });

  it('fused and separate gradients agree', async () => {
    const dy = random(6, T, N);
    const { u } = await loraLinear({ x, weight, bias, A, B, scaling });
    const fused = await loraLinearBackward({ dy, x, u, weight, A, B, scaling });
    const separate = await loraLinearBackward({ dy, x, u, weight, A, B, scaling, fused: false });
    for (const name of ['dx', 'dA', 'dB'] as const) {
      expectClose(dataOf(fused[name]), dataOf(separate[name]), 1e-5);
    }
    const without = await loraLinearBackward({ dy, x, u, weight, A, B, scaling, dx: null });
    expect(without.dx).toBeUndefined();
    expect(dataOf(without.dA)).toEqual(dataOf(fused.dA));
  });

  it('rounds the operands of products in bf16, in every one of them', async () => {
    const dy = random(6, T, N);
    const bf16 = { precision: 'bf16' } as const;
    const rounded = ({ data, shape }: HostTensor): HostTensor => ({ data: data.map(roundToBf16), shape });
    const [x16, weight16, A16, B16, dy16] = [x, weight, A, B, dy].map(rounded) as [
      HostTensor,
      HostTensor,
      HostTensor,
      HostTensor,
      HostTensor,
    ];
    const fused = await loraLinear({ x, weight, bias, A, B, scaling }, bf16);
    const u = await loraLinear({ x: x16, weight: weight16, bias, A: A16, B: B16, scaling });
    expectClose(dataOf(fused.u), dataOf(u.u), 1e-6);
    const base = await linear({ x, weight, bias }, bf16);
    expectClose(dataOf(base.y), dataOf((await linear({ x: x16, weight: weight16, bias })).y), 1e-6);
    const separate = await loraLinear({ x, weight, bias, A, B, scaling, fused: false }, bf16);
    expectClose(dataOf(fused.y), dataOf(separate.y), 1e-3);
    expectClose(dataOf(fused.y), dataOf((await loraLinear({ x, weight, bias, A, B, scaling })).y), 2e-2);

    const backward = { dy, x, u: fused.u, weight, A, B, scaling };
    const gradients = await loraLinearBackward(backward, bf16);
    const apart = await loraLinearBackward({ ...backward, fused: false }, bf16);
    for (const name of ['dx', 'dA', 'dB'] as const) expectClose(dataOf(gradients[name]), dataOf(apart[name]), 1e-3);
    const dB = await loraLinearBackward({ ...backward, dy: dy16, u: rounded(fused.u as HostTensor) });
    expectClose(dataOf(gradients.dB), dataOf(dB.dB), 1e-6);
  });

  it('refuses another precision', async () => {
    await expect(linear({ x, weight }, { precision: 'fp8' as never })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: "linear: there is no precision 'fp8'; use fp32 or bf16",
    });
  });

  it('takes device tensors in place of arrays', async () => {
    using w = new DeviceTensor('cpu', [N, K], weight.data);
    using y = new DeviceTensor('cpu', [T, N]);
    await linear({ x, weight: w, bias, y });
    const host = await linear({ x, weight, bias });
    expect(y.read()).toEqual(dataOf(host.y));
  });

  it('names the operand that does not fit', async () => {
    await expect(linear({ x, weight: random(7, N, K + 1) })).rejects.toMatchObject({
      code: 'INVALID_SHAPE',
      message: expect.stringContaining('W'),
    });
    await expect(loraLinear({ x: random(1, K), weight, A, B, scaling })).rejects.toMatchObject({
      code: 'INVALID_SHAPE',
      message: 'x is [48]; it must have two dimensions',
    });
  });
});

/** ES2024; the types of this project are older. */
type Resizable = ArrayBuffer & { resize(bytes: number): void };
const resizable = (bytes: number): Resizable =>
  Reflect.construct(ArrayBuffer, [bytes, { maxByteLength: 64 }]) as Resizable;

describe('shapes and arrays from anywhere', () => {
  const weight = { data: new Float32Array(6).fill(1), shape: [2, 3] };
  const none = new Float32Array(0);
  const refused = (code: string, message: RegExp) => ({ code, message: expect.stringMatching(message) });

  it.each([
    ['a product that wraps past 2^64', [2 ** 32, 2 ** 32]],
    ['the same with a dimension of its own', [2 ** 40, 2 ** 40]],
    ['a product that wraps to six', [2 ** 33, 2 ** 31]],
    ['a product beyond the safe integers', [2 ** 30, 2 ** 30]],
    ['NaN', [Number.NaN, 3]],
    ['a negative dimension', [-2, -3]],
    ['a fraction', [1.5, 4]],
    ['1e300', [1e300, 0]],
    ['Infinity', [Number.POSITIVE_INFINITY, 0]],
    ['three dimensions', [1, 2, 3]],
    ['no dimension', []],
    ['text', ['2', '3']],
    ['a hole', Array(2)],
    ['a number for a shape', 6],
    ['an array that says it is very long', Object.assign([], { length: 2 ** 32 - 1 })],
  ])('refuses a shape with %s', async (_, shape) => {
    const operand = { data: none, shape: shape as never };
    await expect(linear({ x: operand, weight })).rejects.toMatchObject(refused('INVALID_SHAPE', /^x /));
    await expect(linear({ x: weight, weight, y: operand })).rejects.toMatchObject(refused('INVALID_SHAPE', /^y /));
    expect(() => new DeviceTensor('cpu', shape as never)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^(INVALID_SHAPE|OUT_OF_MEMORY)$/) }),
    );
  });

  it('says what a result that is too large is', async () => {
    const tall = { data: new Float32Array(2 ** 18), shape: [2 ** 18, 1] };
    await expect(linear({ x: tall, weight: tall })).rejects.toMatchObject(
      refused('OUT_OF_MEMORY', /a result of \[262144, 262144\]/),
    );
  });

  it('works on what the operands were when it was called', async () => {
    const x = { data: new Float32Array(6).fill(1), shape: [2, 3] };
    const result = linear({ x, weight });
    x.shape = [2 ** 32, 2 ** 32];
    x.data.fill(100);
    expect(dataOf((await result).y)).toEqual(new Float32Array(4).fill(3));
  });

  it('reads a property once', async () => {
    const reads = { data: 0, shape: 0 };
    const x = {
      get data() {
        reads.data++;
        return reads.data === 1 ? new Float32Array(6).fill(1) : none;
      },
      get shape() {
        reads.shape++;
        return reads.shape === 1 ? [2, 3] : [2 ** 32, 2 ** 32];
      },
    };
    for (const fused of [true, false]) {
      Object.assign(reads, { data: 0, shape: 0 });
      const { y } = await loraLinear({ x, weight, A: weight, B: random(1, 2, 2), scaling: 1, fused });
      expect(dataOf(y)).toHaveLength(4);
      expect(reads).toEqual({ data: 1, shape: 1 });
    }
  });

  it('takes views of resizable and shared buffers, as long as they are when it is called', async () => {
    const buffer = resizable(24);
    const tracking = new Float32Array(buffer);
    tracking.fill(1);
    const x = { data: tracking, shape: [2, 3] };
    const result = linear({ x, weight });
    buffer.resize(0);
    expect(dataOf((await result).y)).toEqual(new Float32Array(4).fill(3));
    await expect(linear({ x, weight })).rejects.toMatchObject(refused('INVALID_SHAPE', /^x holds 0 values/));
    buffer.resize(24);
    tracking.fill(2);
    expect(dataOf((await linear({ x, weight })).y)).toEqual(new Float32Array(4).fill(6));

    const shared = new Float32Array(new SharedArrayBuffer(24)).fill(1);
    expect(dataOf((await linear({ x: { data: shared, shape: [2, 3] }, weight })).y)).toEqual(
      new Float32Array(4).fill(3),
    );
  });

  it.each([
    ['shrunk', (buffer: Resizable) => buffer.resize(4)],
    ['grown', (buffer: Resizable) => buffer.resize(32)],
    ['detached', (buffer: Resizable) => structuredClone(buffer, { transfer: [buffer] })],
  ])('refuses a result whose buffer was %s while it ran', async (_, change) => {
    const buffer = resizable(16);
    const y = { data: new Float32Array(buffer), shape: [2, 2] };
    const result = linear({ x: weight, weight, y });
    change(buffer);
    await expect(result).rejects.toMatchObject(refused('INVALID_SHAPE', /output must hold 4 values/));
  });

  it('refuses operands and options that are none', async () => {
    await expect(linear(null as never)).rejects.toMatchObject(refused('INVALID_ARGUMENT', /expected an object/));
    await expect(linear({ x: weight, weight, activation: 1 as never })).rejects.toMatchObject(
      refused('INVALID_ARGUMENT', /attribute 'activation' must be a word/),
    );
    await expect(linear({ x: weight, weight, activation: 'swish' as never })).rejects.toMatchObject(
      refused('INVALID_ARGUMENT', /there is no activation 'swish'/),
    );
    await expect(linear({ x: weight, weight }, { precision: 16 as never })).rejects.toMatchObject(
      refused('INVALID_ARGUMENT', /attribute 'precision' must be a word/),
    );
    for (const x of [undefined, null, 'x', 5, new Proxy({}, {})])
      await expect(linear({ x: x as never, weight })).rejects.toMatchObject({
        code: expect.stringMatching(/^INVALID_/),
      });
    const proxied = { data: new Proxy(weight.data, {}), shape: [2, 3] };
    await expect(linear({ x: proxied, weight })).rejects.toMatchObject(refused('INVALID_ARGUMENT', /Float32Array/));
  });
});
