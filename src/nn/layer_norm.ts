/**
 * The module of LayerNorm, with its weight and bias.
 * The formula and its gradients: src/graph/ops/layer_norm.ts.
 */
import { positiveInteger } from '../base/options';
import { layerNorm } from '../graph/ops';
import type { Value } from '../graph/value';
import { initializedParameter } from './init';
import { Module } from './module';

/** y = (x − mean) / √(variance + eps) · weight + bias, over each row. */
export class LayerNorm extends Module {
  /** [features], starts at 1. */
  readonly weight;
  /** [features], starts at 0. */
  readonly bias;

  /** @param eps default 1e-5, as in PyTorch. */
  constructor(
    readonly features: number,
    readonly eps = 1e-5,
  ) {
    super();
    positiveInteger('LayerNorm', { features });
    this.weight = initializedParameter([features], { kind: 'constant', value: 1 });
    this.bias = initializedParameter([features], { kind: 'constant', value: 0 });
  }

  /**
   * @param x [R, features]
   * @returns [R, features]
   */
  forward(x: Value): Value {
    return layerNorm(x, this.weight, this.bias, this.eps);
  }

  override extraRepr(): string {
    const eps = this.eps < 1e-4 ? this.eps.toExponential().replace(/e-(\d)$/, 'e-0$1') : String(this.eps);
    return `(${this.features},), eps=${eps}, elementwise_affine=True`;
  }
}
