/**
 * The module of y = x Wᵀ + b; its weight may be tied to another module's.
 * Adapters are put around it by src/lora/inject.ts.
 */
import { positiveInteger } from '../base/options';
import { linear } from '../graph/ops';
import type { Parameter } from '../graph/parameter';
import type { Value } from '../graph/value';
import { initializedParameter } from './init';
import { Module } from './module';

/** Of {@link Linear}. */
export interface LinearOptions {
  /** Default true. A Parameter is shared with the module that it belongs to. */
  bias?: boolean | Parameter;
  /**
   * The weight of another module, [outFeatures, inFeatures]: tied, one parameter with one gradient.
   */
  weight?: Parameter;
  /**
   * Standard deviation of the initial weights, N(0, std²);
   * the bias starts at 0. Default 0.02, as in BERT.
   */
  std?: number;
}

/** y = x Wᵀ + b. */
export class Linear extends Module {
  /** [outFeatures, inFeatures] */
  readonly weight: Parameter;
  /** [outFeatures] */
  readonly bias: Parameter | undefined;

  constructor(
    readonly inFeatures: number,
    readonly outFeatures: number,
    options: LinearOptions = {},
  ) {
    super();
    positiveInteger('Linear', { inFeatures, outFeatures });
    const { bias = true, std = 0.02, weight } = options;
    this.weight = weight ?? initializedParameter([outFeatures, inFeatures], { kind: 'normal', std });
    this.bias = bias === true ? initializedParameter([outFeatures], { kind: 'constant', value: 0 }) : bias || undefined;
  }

  /**
   * @param x [R, inFeatures]
   * @param _tokenIndex [R] i32: the token of each row, where rows are a selection. A plain Linear
   * has no use for it; an adapter with dropout that takes its place has.
   * @returns [R, outFeatures]
   */
  forward(x: Value, _tokenIndex?: Value): Value {
    return linear(x, this.weight, this.bias);
  }

  override extraRepr(): string {
    const bias = this.bias ? 'True' : 'False';
    return `in_features=${this.inFeatures}, out_features=${this.outFeatures}, bias=${bias}`;
  }
}
