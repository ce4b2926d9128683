/**
 * Multi-head self-attention with its q, k and v weights, without the output projection.
 * The projection and the residual around it: encoder_layer.ts. The op: src/graph/ops/attention.ts.
 */
import { FusedLoraError } from '../base/errors';
import { positiveInteger } from '../base/options';
import { attention } from '../graph/ops';
import type { Value } from '../graph/value';
import { Dropout } from './dropout';
import { Linear } from './linear';
import { Module } from './module';

/** Of {@link SelfAttention}. */
export interface SelfAttentionOptions {
  hiddenSize: number;
  /** Must divide hiddenSize. */
  numHeads: number;
  /** Dropout on the attention probabilities. Default 0. */
  dropout?: number;
  /** Standard deviation of the initial weights. Default 0.02. */
  std?: number;
}

/**
 * Multi-head self-attention inside each sequence of a ragged batch, without its output projection:
 *
 *     y = dropout(softmax(q kᵀ / √D)) v,   q, k, v = x Wᵀ + b,   D = hiddenSize / numHeads
 */
export class SelfAttention extends Module {
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly dropout: Dropout;
  readonly numHeads: number;

  constructor(options: SelfAttentionOptions) {
    super();
    const { hiddenSize, numHeads, std = 0.02 } = options;
    positiveInteger('SelfAttention', { hiddenSize, numHeads });
    if (hiddenSize % numHeads !== 0) {
      throw new FusedLoraError(
        'INVALID_ARGUMENT',
        `SelfAttention: hiddenSize ${hiddenSize} is not divisible by numHeads ${numHeads}`,
      );
    }
    this.query = new Linear(hiddenSize, hiddenSize, { std });
    this.key = new Linear(hiddenSize, hiddenSize, { std });
    this.value = new Linear(hiddenSize, hiddenSize, { std });
    this.dropout = new Dropout(options.dropout ?? 0);
    this.numHeads = numHeads;
  }

  /**
   * @param x [T, hiddenSize]
   * @param cuSeqlens [S+1] i32: where each sequence starts, and T
   * @returns [T, hiddenSize]
   */
  forward(x: Value, cuSeqlens: Value): Value {
    const q = this.query.call(x);
    const k = this.key.call(x);
    const v = this.value.call(x);
    const p = this.dropout.training ? this.dropout.p : 0;
    return attention(q, k, v, cuSeqlens, { numHeads: this.numHeads, dropout: p });
  }
}
