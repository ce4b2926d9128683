/**
 * Self-attention inside each sequence of a ragged batch: softmax(q kᵀ · scale) v, and its
 * gradients.
 * Contract: native/ops/attention.h. The module with the q, k, v weights: src/nn/self_attention.ts.
 */
import { FusedLoraError } from '../../base/errors';
import type { Sizes, Value } from '../value';
import { dropoutAttributes } from './dropout_spec';
import { applied, defineOp, dimsOf, numberOf, type OpCall, type OpSpec, placeOf, touchedBytes } from './op';

function check(this: OpSpec, call: OpCall): void {
  const heads = numberOf(call, 'numHeads');
  const operand = (name: string) => call.inputs[this.inputs.findIndex((o) => o.name === name)] as Value | undefined;
  const [q, k] = [operand('q') as Value, operand('k') as Value];
  if (!operand('queryRows') && q.shape[0] !== k.shape[0]) {
    throw new FusedLoraError(
      'INVALID_SHAPE',
      `${placeOf(this, call)}: q (${q.name}) has ${q.shape[0]} rows and k (${k.name}) ${k.shape[0]}; say by queryRows which token each query is`,
    );
  }
  const hidden = q.features;
  if (!Number.isInteger(heads) || heads < 1 || hidden % heads !== 0) {
    throw new FusedLoraError(
      'INVALID_SHAPE',
      `${placeOf(this, call)}: hidden size ${hidden} is not divisible by ${heads} heads`,
    );
  }
}

/**
 * Products of Q queries with the L tokens of their sequence, over all heads, at sequences of equal
 * length L = T / S: what the sizes tell. Unequal ones need more, in proportion to the mean of L².
 */
function pairFlops(q: Value | undefined, products: number, softmax: number, heads: number, sizes: Sizes): number {
  const [Q = 0, H = 0] = dimsOf(q, sizes);
  const L = sizes.T / Math.max(1, sizes.S);
  return Q * L * (2 * H * products + softmax * heads);
}

export const attentionOp = defineOp('attention', {
  role: 'forward',
  check,
  gradient: (node, back) => {
    const [q, k, v, cuSeqlens, queryRows] = node.inputs;
    if (!back.needs(q, k, v)) return;
    back.emit(
      'attentionBackward',
      [back.dy, q, k, v, back.keep(0), back.keep(1), cuSeqlens, queryRows],
      [q, k, v],
      node.attributes,
    );
  },
  // q kᵀ and P v; a score: scale, maximum, subtract, exp, sum, divide.
  flops: (call, sizes) => pairFlops(call.inputs[0], 2, 6, numberOf(call, 'numHeads'), sizes),
  bytes: touchedBytes,
});

export const attentionBackwardOp = defineOp('attentionBackward', {
  role: 'backward',
  check,
  flops: (call, sizes) => {
    const [dq, dk, dv] = call.outputs;
    // P again is one product, dP one more where dq or dk is needed; then one for each output.
    const products = 1 + (dq || dk ? 1 : 0) + [dq, dk, dv].filter((output) => output).length;
    return pairFlops(call.inputs[1], products, 6, numberOf(call, 'numHeads'), sizes);
  },
  bytes: touchedBytes,
});

/** Of {@link attention}. */
export interface AttentionOptions {
  /** Heads that the hidden size is split into; it must be divisible. */
  numHeads: number;
  /** Dropout on the probabilities. Default 0. */
  dropout?: number;
  /**
   * [Q] i32: the token that each row of q is, where only
   * some tokens ask. Default: q has a row for every token.
   */
  queryRows?: Value | undefined;
}

/**
 * y = dropout(softmax(q kᵀ / √D)) v inside each sequence and head.
 * @param q [T, H], or [Q, H] with queryRows; the result has its shape
 * @param k [T, H], as is v
 * @param cuSeqlens [S+1] i32: where each sequence starts, and T
 */
export function attention(q: Value, k: Value, v: Value, cuSeqlens: Value, options: AttentionOptions): Value {
  return applied(q.graph, attentionOp, [q, k, v, cuSeqlens, options.queryRows], {
    numHeads: options.numHeads,
    ...dropoutAttributes(q.graph, options.dropout ?? 0),
  });
}
