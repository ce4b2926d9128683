/**
 * The ops of one Linear layer (linear_layer.ts), run one by one; times are the ops' own, taken
 * natively. On a GPU: gpu/linear_ops.ts. Who calls it: benchmarks/linear.ts, weights.ts.
 */
import type { BaseWeights } from '../../src/graph/base_weights';
import type { Precision } from '../../src/graph/precision';
import { native } from '../../src/native';
import { type LayerOp, type LayerOps, LinearLayer, STEP } from './linear_layer';

/** Seconds of both passes; backward: dx, and with an adapter dA and dB. */
export interface Passes {
  forward: number;
  backward: number;
}

export class LinearOps {
  private readonly layer: LinearLayer;

  constructor(
    private readonly backend: string,
    T: number,
    K: number,
    N: number,
    r: number,
    precision: Precision = 'fp32',
  ) {
    this.layer = new LinearLayer(backend, T, K, N, r, precision);
  }

  get operands() {
    return this.layer.operands;
  }

  private async run(ops: LayerOp[]): Promise<number> {
    let seconds = 0;
    for (const [op, inputs, outputs, attributes] of ops)
      seconds += await native().runOp(this.backend, op, inputs, outputs, attributes, STEP);
    return seconds;
  }

  private async both({ forward, backward }: LayerOps): Promise<Passes> {
    return { forward: await this.run(forward), backward: await this.run(backward) };
  }

  /** x Wᵀ without a bias. */
  product = () => this.run([this.layer.product()]);

  /** @param baseWeights what W is held in. */
  base = (baseWeights?: BaseWeights) => this.both(this.layer.bare(baseWeights));

  /** A and B are packed anew in every call: they change with every step. */
  fused = () => this.both(this.layer.fused());

  separate = () => this.both(this.layer.separate());

  dispose(): void {
    this.layer.dispose();
  }
}
