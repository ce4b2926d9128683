/**
 * One Linear layer as lists of our ops: bare, with LoRA as one op, and with LoRA as the ops that a
 * layer without fusion runs; for every backend. Timed: linear_ops.ts, on a GPU gpu/linear_ops.ts.
 */
import type { BaseWeights } from '../../src/graph/base_weights';
import type { Precision } from '../../src/graph/precision';
import { type NativeParameter, native } from '../../src/native';
import { generator } from './batches';

/** [in, out] of RoBERTa-base's and -large's Linear layers. */
export const ROBERTA_SHAPES = [
  [768, 768],
  [768, 3072],
  [3072, 768],
  [1024, 1024],
  [1024, 4096],
  [4096, 1024],
] as const;

export const SCALING = 2;
export const STEP = { seed: 0n, forwardNumber: 0, lossScale: 1 };

/** `bare`: x Wᵀ + b and dx = dy W, without an adapter. */
export type How = 'bare' | 'fused' | 'separate';

export type LayerOp = [
  name: string,
  inputs: (NativeParameter | undefined)[],
  outputs: NativeParameter[],
  attributes: Record<string, number | string>,
];

/** Backward: dx, and with an adapter dA and dB. */
export interface LayerOps {
  forward: LayerOp[];
  backward: LayerOp[];
}

/** The operands of a layer x [T, K] → y [T, N] with an adapter of rank r, random. */
export class LinearLayer {
  private readonly tensors: NativeParameter[] = [];
  readonly operands;

  constructor(
    private readonly backend: string,
    T: number,
    K: number,
    N: number,
    r: number,
    private readonly precision: Precision,
  ) {
    const random = generator(T * 31 + K * 7 + N * 3 + r);
    const make = (...shape: number[]) => this.tensor(shape, random);
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

  private tensor(shape: number[], random: () => number): NativeParameter {
    const parameter = new (native().Parameter)(this.backend, 'tensor', shape, 'f32');
    const values = new Float32Array(shape.reduce((product, dim) => product * dim, 1));
    for (let i = 0; i < values.length; i++) values[i] = random() - 0.5;
    parameter.write('value', values);
    this.tensors.push(parameter);
    return parameter;
  }

  /** x Wᵀ without a bias. */
  product(): LayerOp {
    const { x, W, y } = this.operands;
    return ['linear', [x, W], [y], { precision: this.precision }];
  }

  /** @param baseWeights what W is held in. */
  bare(baseWeights: BaseWeights = 'fp32'): LayerOps {
    const { x, W, b, y, dy, dx } = this.operands;
    const attributes = { precision: this.precision, baseWeights };
    return {
      forward: [['linear', [x, W, b], [y], attributes]],
      backward: [['linearBackwardInput', [dy, W], [dx], attributes]],
    };
  }

  fused(): LayerOps {
    const { x, W, b, A, B, y, u, dy, dx, dA, dB } = this.operands;
    const attributes = { precision: this.precision, scaling: SCALING };
    return {
      forward: [['loraLinear', [x, W, b, A, B], [y, u], attributes]],
      backward: [['loraLinearBackward', [dy, x, u, W, A, B], [dx, dA, dB], attributes]],
    };
  }

  separate(): LayerOps {
    const { x, W, b, A, B, y, u, z, dy, dx, dxLora, v, dA, dB } = this.operands;
    const p = { precision: this.precision };
    return {
      forward: [
        ['linear', [x, W, b], [y], p],
        ['linear', [x, A], [u], p],
        ['scale', [u], [u], { factor: SCALING }],
        ['linear', [u, B], [z], p],
        ['add', [y, z], [y], {}],
      ],
      backward: [
        ['linearBackwardInput', [dy, W], [dx], p],
        ['linearBackwardInput', [dy, B], [v], p],
        ['scale', [v], [v], { factor: SCALING }],
        ['linearBackwardInput', [v, A], [dxLora], p],
        ['add', [dx, dxLora], [dx], {}],
        ['linearBackwardWeight', [v, x], [dA], p],
        ['linearBackwardWeight', [dy, u], [dB], p],
      ],
    };
  }

  dispose(): void {
    for (const tensor of this.tensors) tensor.dispose();
  }
}
