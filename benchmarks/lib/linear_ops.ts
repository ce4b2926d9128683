/**
 * One Linear layer through our ops: bare, with LoRA as one op,
 * and with LoRA as the ops that a layer without fusion runs.
 * On a GPU: gpu/linear_ops.ts. Who calls it: benchmarks/linear.ts.
 */
import type { BaseWeights } from '../../src/graph/base_weights';
import type { Precision } from '../../src/graph/precision';
import { type NativeParameter, native } from '../../src/native';
import { generator } from './batches';

export const SCALING = 2;
const step = { seed: 0n, forwardNumber: 0, lossScale: 1 };

/** Seconds of both passes; backward: dx, and with an adapter dA and dB. */
export interface Passes {
  forward: number;
  backward: number;
}

type Op = [
  name: string,
  inputs: (NativeParameter | undefined)[],
  outputs: NativeParameter[],
  attributes?: Record<string, number | string>,
];

const PRODUCTS = /^(linear|loraLinear)/;

/**
 * The operands of a layer x [T, K] → y [T, N] with an adapter
 * of rank r, random. Times are the ops' own, taken natively.
 */
export class LinearOps {
  private readonly tensors: NativeParameter[] = [];
  private readonly random;
  readonly operands;

  constructor(
    private readonly backend: string,
    T: number,
    K: number,
    N: number,
    r: number,
    private readonly precision: Precision = 'fp32',
  ) {
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

  private tensor(shape: number[]): NativeParameter {
    const parameter = new (native().Parameter)(this.backend, 'tensor', shape, 'f32');
    const values = new Float32Array(shape.reduce((product, dim) => product * dim, 1));
    for (let i = 0; i < values.length; i++) values[i] = this.random() - 0.5;
    parameter.write('value', values);
    this.tensors.push(parameter);
    return parameter;
  }

  private async run(...ops: Op[]): Promise<number> {
    let seconds = 0;
    for (const [op, inputs, outputs, attributes = {}] of ops) {
      const all = PRODUCTS.test(op) ? { ...attributes, precision: this.precision } : attributes;
      seconds += await native().runOp(this.backend, op, inputs, outputs, all, step);
    }
    return seconds;
  }

  /** x Wᵀ without a bias. */
  product(): Promise<number> {
    const { x, W, y } = this.operands;
    return this.run(['linear', [x, W], [y]]);
  }

  /** @param baseWeights what W is held in. */
  async base(baseWeights: BaseWeights = 'fp32'): Promise<Passes> {
    const { x, W, b, y, dy, dx } = this.operands;
    return {
      forward: await this.run(['linear', [x, W, b], [y], { baseWeights }]),
      backward: await this.run(['linearBackwardInput', [dy, W], [dx], { baseWeights }]),
    };
  }

  /** A and B are packed anew in every call: they change with every step. */
  async fused(): Promise<Passes> {
    const { x, W, b, A, B, y, u, dy, dx, dA, dB } = this.operands;
    const scaling = { scaling: SCALING };
    return {
      forward: await this.run(['loraLinear', [x, W, b, A, B], [y, u], scaling]),
      backward: await this.run(['loraLinearBackward', [dy, x, u, W, A, B], [dx, dA, dB], scaling]),
    };
  }

  async separate(): Promise<Passes> {
    const { x, W, b, A, B, y, u, z, dy, dx, dxLora, v, dA, dB } = this.operands;
    const factor = { factor: SCALING };
    return {
      forward: await this.run(
        ['linear', [x, W, b], [y]],
        ['linear', [x, A], [u]],
        ['scale', [u], [u], factor],
        ['linear', [u, B], [z]],
        ['add', [y, z], [y]],
      ),
      backward: await this.run(
        ['linearBackwardInput', [dy, W], [dx]],
        ['linearBackwardInput', [dy, B], [v]],
        ['scale', [v], [v], factor],
        ['linearBackwardInput', [v, A], [dxLora]],
        ['add', [dx, dxLora], [dx]],
        ['linearBackwardWeight', [v, x], [dA]],
        ['linearBackwardWeight', [dy, u], [dB]],
      ),
    };
  }

  dispose(): void {
    for (const tensor of this.tensors) tensor.dispose();
  }
}
