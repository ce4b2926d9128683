/**
 * The ops of one Linear layer (lib/linear_layer.ts) on the GPU: timed between two events, L2
 * flushed, and what is fused held against what is separate. Who they take turns with:
 * gpu/linear.ts.
 */
import { type NativeParameter, native } from '../../src/native';
import { type How, LinearLayer, STEP } from '../lib/linear_layer';

/**
 * By which what is fused may differ from what is separate, RMS over RMS: rounding of fp32 sums, in
 * bf16 half a unit of u and v, which other sums may round the other way.
 */
const AGREEMENT = { fp32: 1e-5, bf16: 2 ** -9 } as const;
const BACKEND = 'cuda';
/** Larger than any L2 cache so far. */
const FLUSH_FLOATS = 64 << 20;

export class GpuLayer {
  private static flush: NativeParameter | undefined;
  private readonly layer: LinearLayer;

  constructor(
    private readonly T: number,
    private readonly K: number,
    private readonly N: number,
    r: number,
    private readonly precision: 'fp32' | 'bf16',
  ) {
    this.layer = new LinearLayer(BACKEND, T, K, N, r, precision);
  }

  /**
   * Why this precision can not be had: an op that does not
   * know the attribute would answer in fp32, bit for bit.
   */
  async whyNot(): Promise<string | undefined> {
    if (this.precision === 'fp32') return undefined;
    const { x, W, b, y } = this.layer.operands;
    try {
      await native().runOp(BACKEND, 'linear', [x, W, b], [y], { precision: this.precision }, STEP);
    } catch (error) {
      return (error as Error).message;
    }
    const rounded = y.read('value').slice(0, 4096);
    await native().runOp(BACKEND, 'linear', [x, W, b], [y], {}, STEP);
    const exact = y.read('value');
    return rounded.every((value, i) => value === exact[i]) ? 'fused-lora gave the bits of fp32 for bf16' : undefined;
  }

  /**
   * Computes y, dx, dA and dB both ways.
   * @returns what differs by more than rounding, or undefined; `worst` of all is of AGREEMENT
   */
  async disagreement(): Promise<{ worst: number; fault: string | undefined }> {
    const { y, dx, dA, dB } = this.layer.operands;
    const results = { y, dx, dA, dB };
    const run = async (how: How) => {
      for (const sum of [dA, dB]) sum.write('value', new Float32Array(sum.read('value').length));
      const { forward, backward } = this.layer[how]();
      for (const [op, inputs, outputs, attributes] of [...forward, ...backward])
        await native().runOp(BACKEND, op, inputs, outputs, attributes, STEP);
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
    const ops = this.layer[how]();
    return native().timeOps(
      BACKEND,
      pass === 'forward' ? ops.forward : [...ops.forward, ...ops.backward],
      STEP,
      GpuLayer.flush,
    );
  }

  dispose(): void {
    this.layer.dispose();
  }
}

const rms = (values: Float64Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);

function makeFlush(count: number): NativeParameter {
  const flush = new (native().Parameter)(BACKEND, 'flush', [count], 'f32');
  flush.write('value', new Float32Array(count));
  return flush;
}
