/**
 * One linear layer through our ops on the GPU, bare, with an adapter as one op, and with an adapter
 * as the ops of a layer without fusion; timed between two events, L2 flushed.
 * Who it takes turns with: gpu/linear.ts. The same on a CPU: lib/linear_ops.ts.
 */
import { type NativeParameter, native } from '../../src/native';
import { generator } from '../lib/batches';

export const SCALING = 2;
/** `bare`: x Wᵀ + b and dx = dy W, without an adapter. */
export type How = 'fused' | 'separate' | 'bare';
/**
 * By which what is fused may differ from what is separate, RMS over RMS: rounding of fp32 sums, in
 * bf16 half a unit of u and v, which other sums may round the other way.
 */
const AGREEMENT = { fp32: 1e-5, bf16: 2 ** -9 } as const;
const BACKEND = 'cuda';
const step = { seed: 0n, forwardNumber: 0, lossScale: 1 };
/** Larger than any L2 cache so far. */
const FLUSH_FLOATS = 64 << 20;

type Op = [
  op: string,
  inputs: (NativeParameter | undefined)[],
  outputs: NativeParameter[],
  attributes: Record<string, number | string>,
];

export class GpuLayer {
  private static flush: NativeParameter | undefined;
  private readonly tensors: NativeParameter[] = [];
  private readonly random;
  private readonly operands;
  /** Attributes of products. */
  private readonly products: Record<string, string>;

  constructor(
    private readonly T: number,
    private readonly K: number,
    private readonly N: number,
    r: number,
    private readonly precision: 'fp32' | 'bf16',
  ) {
    this.products = precision === 'bf16' ? { precision } : {};
    this.random = generator(T * 31 + K * 7 + N * 3 + r);
    const make = (...shape: number[]) => this.tensor(shape);
    this.operands = {
      x: make(T, K),
      W: make(N, K),
      b: make(N),
      A: make(r, K),
      B: make(N, r),
      y: make(T, N),
      u: make(T, r),
      z: make(T, N),
      dy: make(T, N),
      dx: make(T, K),
      dxLora: make(T, K),
      v: make(T, r),
      dA: make(r, K),
      dB: make(N, r),
    };
  }

  /**
   * Why this precision can not be had: an op that does not
   * know the attribute would answer in fp32, bit for bit.
   */
  async whyNot(): Promise<string | undefined> {
    if (this.precision === 'fp32') return undefined;
    const { x, W, b, y } = this.operands;
    try {
      await native().runOp(BACKEND, 'linear', [x, W, b], [y], this.products, step);
    } catch (error) {
      return (error as Error).message;
    }
    const rounded = y.read('value').slice(0, 4096);
    await native().runOp(BACKEND, 'linear', [x, W, b], [y], {}, step);
    const exact = y.read('value');
    return rounded.every((value, i) => value === exact[i]) ? 'fused-lora gave the bits of fp32 for bf16' : undefined;
  }

  /**
   * Computes y, dx, dA and dB both ways.
   * @returns what differs by more than rounding, or undefined; `worst` of all is of AGREEMENT
   */
  async disagreement(): Promise<{ worst: number; fault: string | undefined }> {
    const { y, dx, dA, dB } = this.operands;
    const results = { y, dx, dA, dB };
    const run = async (how: How) => {
      for (const sum of [dA, dB]) sum.write('value', new Float32Array(sum.read('value').length));
      const { forward, backward } = this.opsOf(how);
      for (const [op, inputs, outputs, attributes] of [...forward, ...backward])
        await native().runOp(BACKEND, op, inputs, outputs, attributes, step);
      return Object.entries(results).map(([name, tensor]) => [name, Float64Array.from(tensor.read('value'))] as const);
    };
    const fused = await run('fused');
    const separate = new Map(await run('separate'));
    let worst = 0;
    let fault: string | undefined;
    for (const [name, values] of fused) {
      const other = separate.get(name) as Float64Array;
      const error = rms(values.map((value, i) => value - (other[i] as number))) / rms(other);
      const share = error / AGREEMENT[this.precision];
      if (!(share <= 1)) fault ??= `${name}: fused and separate differ by ${error.toExponential(1)} of its RMS`;
      worst = Math.max(worst, share);
    }
    return { worst, fault };
  }

  /** Seconds of a pass. */
  time(how: How, pass: 'forward' | 'both'): Promise<number> {
    GpuLayer.flush ??= makeFlush(this.T * this.K * this.N < 1e6 ? 1024 : FLUSH_FLOATS);
    const ops = this.opsOf(how);
    return native().timeOps(
      BACKEND,
      pass === 'forward' ? ops.forward : [...ops.forward, ...ops.backward],
      step,
      GpuLayer.flush,
    );
  }

  dispose(): void {
    for (const tensor of this.tensors) tensor.dispose();
  }

  private opsOf(how: How): { forward: Op[]; backward: Op[] } {
    return how === 'fused' ? this.fused() : how === 'separate' ? this.separate() : this.bare();
  }

  private bare(): { forward: Op[]; backward: Op[] } {
    const { x, W, b, y, dy, dx } = this.operands;
    return {
      forward: [['linear', [x, W, b], [y], this.products]],
      backward: [['linearBackwardInput', [dy, W], [dx], this.products]],
    };
  }

  private fused(): { forward: Op[]; backward: Op[] } {
    const { x, W, b, A, B, y, u, dy, dx, dA, dB } = this.operands;
    const attributes = { scaling: SCALING, ...this.products };
    return {
      forward: [['loraLinear', [x, W, b, A, B], [y, u], attributes]],
      backward: [['loraLinearBackward', [dy, x, u, W, A, B], [dx, dA, dB], attributes]],
    };
  }

  private separate(): { forward: Op[]; backward: Op[] } {
    const { x, W, b, A, B, y, u, z, dy, dx, dxLora, v, dA, dB } = this.operands;
    const factor = { factor: SCALING };
    const p = this.products;
    return {
      forward: [
        ['linear', [x, W, b], [y], p],
        ['linear', [x, A], [u], p],
        ['scale', [u], [u], factor],
        ['linear', [u, B], [z], p],
        ['add', [y, z], [y], {}],
      ],
      backward: [
        ['linearBackwardInput', [dy, W], [dx], p],
        ['linearBackwardInput', [dy, B], [v], p],
        ['scale', [v], [v], factor],
        ['linearBackwardInput', [v, A], [dxLora], p],
        ['add', [dx, dxLora], [dx], {}],
        ['linearBackwardWeight', [v, x], [dA], p],
        ['linearBackwardWeight', [dy, u], [dB], p],
      ],
    };
  }

  private tensor(shape: number[]): NativeParameter {
    const parameter = new (native().Parameter)(BACKEND, 'tensor', shape, 'f32');
    const values = new Float32Array(shape.reduce((product, dim) => product * dim, 1));
    for (let i = 0; i < values.length; i++) values[i] = this.random() - 0.5;
    parameter.write('value', values);
    this.tensors.push(parameter);
    return parameter;
  }
}

const rms = (values: Float64Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);

function makeFlush(count: number): NativeParameter {
  const flush = new (native().Parameter)(BACKEND, 'flush', [count], 'f32');
  flush.write('value', new Float32Array(count));
  return flush;
}
