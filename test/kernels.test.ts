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
