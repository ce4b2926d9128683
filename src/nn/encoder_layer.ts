/**
 * One post-LayerNorm encoder layer of BERT and RoBERTa: attention, feed-forward, two residuals.
 * Names of children are those of transformers, so that checkpoints fit. Attention inside:
 * self_attention.ts.
 */
import { type ActivationKind, add } from '../graph/ops';
import type { Value } from '../graph/value';
import { Activation } from './activation';
import { Dropout } from './dropout';
import { LayerNorm } from './layer_norm';
import { Linear } from './linear';
import { Module } from './module';
import { SelfAttention } from './self_attention';

/** Names of children are those of BERT and RoBERTa in transformers, so that checkpoints fit. */
export interface EncoderLayerOptions {
  hiddenSize: number;
  numHeads: number;
  /** Width of the feed-forward part. */
  intermediateSize: number;
  /** Default gelu. */
  activation?: ActivationKind;
  /** Default 0. */
  hiddenDropout?: number;
  /** Default 0. */
  attentionDropout?: number;
  /** Default 1e-5. */
  layerNormEps?: number;
  /** Default 0.02. */
  std?: number;
}

/** y = LayerNorm(dropout(x Wᵀ + b) + residual): how both halves of a layer end. */
export class ResidualOutput extends Module {
  readonly dense: Linear;
  readonly LayerNorm: LayerNorm;
  readonly dropout: Dropout;

  constructor(inFeatures: number, options: EncoderLayerOptions) {
    super();
    this.dense = new Linear(inFeatures, options.hiddenSize, { std: options.std ?? 0.02 });
    this.LayerNorm = new LayerNorm(options.hiddenSize, options.layerNormEps);
    this.dropout = new Dropout(options.hiddenDropout ?? 0);
  }

  /**
   * LayerNorm(dropout(x Wᵀ + b) + residual). @param x [T,
   * inFeatures] @param residual [T, hiddenSize]
   */
  forward(x: Value, residual: Value): Value {
    return this.LayerNorm.call(add(this.dropout.call(this.dense.call(x)), residual));
  }
}

/** Self-attention with its output projection, residual and LayerNorm. */
export class Attention extends Module {
  readonly self: SelfAttention;
  readonly output: ResidualOutput;

  constructor(options: EncoderLayerOptions) {
    super();
    const { hiddenSize, numHeads, attentionDropout = 0, std = 0.02 } = options;
    this.self = new SelfAttention({ hiddenSize, numHeads, dropout: attentionDropout, std });
    this.output = new ResidualOutput(hiddenSize, options);
  }

  forward(x: Value, cuSeqlens: Value): Value {
    return this.output.call(this.self.call(x, cuSeqlens), x);
  }
}

/** f(x Wᵀ + b), the widening half of the feed-forward part. */
export class Intermediate extends Module {
  readonly dense: Linear;
  readonly intermediate_act_fn: Activation;

  constructor(options: EncoderLayerOptions) {
    super();
    this.dense = new Linear(options.hiddenSize, options.intermediateSize, { std: options.std ?? 0.02 });
    this.intermediate_act_fn = new Activation(options.activation ?? 'gelu');
  }

  forward(x: Value): Value {
    return this.intermediate_act_fn.call(this.dense.call(x));
  }
}

/**
 * A post-LayerNorm transformer encoder layer:
 *
 *     h = LayerNorm(x + dropout(attention(x) Woᵀ + bo))
 *     y = LayerNorm(h + dropout(f(h W1ᵀ + b1) W2ᵀ + b2))
 */
export class EncoderLayer extends Module {
  readonly attention: Attention;
  readonly intermediate: Intermediate;
  readonly output: ResidualOutput;

  constructor(options: EncoderLayerOptions) {
    super();
    this.attention = new Attention(options);
    this.intermediate = new Intermediate(options);
    this.output = new ResidualOutput(options.intermediateSize, options);
  }

  /**
   * @param x [T, hiddenSize]
   * @param cuSeqlens [S+1] i32
   * @returns [T, hiddenSize]
   */
  forward(x: Value, cuSeqlens: Value): Value {
    const h = this.attention.call(x, cuSeqlens);
    return this.output.call(this.intermediate.call(h), h);
  }
}
