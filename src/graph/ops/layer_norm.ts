/**
 * y = (x − mean) / √(variance + eps) · gamma + beta over each row, and dx, dgamma, dbeta.
 * Contract: native/ops/layer_norm.h. With a residual and dropout in one op: add_layer_norm.ts.
 */
import type { Parameter } from '../parameter';
import type { Value } from '../value';
import { applied, defineOp, elements, touchedBytes } from './op';

/** An element: mean 1, variance 3, normalise 2, affine 2. */
export const LAYER_NORM_FLOPS = 8;
/** An element: g 1, xhat 2, two row means 3, dx 4. */
const BACKWARD_FLOPS = 10;
/** An element, where gamma or beta trains: dgamma 2, dbeta 1. */
const AFFINE_FLOPS = 3;

/** FLOPs of a backward pass over x with dgamma and dbeta at these positions. */
export function layerNormBackwardFlops(count: number, dx: boolean, affine: boolean): number {
  return count * ((dx ? BACKWARD_FLOPS : 0) + (affine ? AFFINE_FLOPS : 0));
}

export const layerNormOp = defineOp('layerNorm', {
  role: 'forward',
  gradient: ({ inputs: [x, gamma, beta] }, back) => {
    if (back.needs(x, gamma, beta)) {
      back.emit('layerNormBackward', [back.dy, x, gamma, back.keep(1)], [x, gamma, beta]);
    }
  },
  flops: (call, sizes) => LAYER_NORM_FLOPS * elements(call.outputs[0], sizes),
  bytes: touchedBytes,
});

export const layerNormBackwardOp = defineOp('layerNormBackward', {
  role: 'backward',
  flops: ({ inputs: [dy], outputs: [dx, dgamma, dbeta] }, sizes) =>
    layerNormBackwardFlops(elements(dy, sizes), dx !== undefined, (dgamma ?? dbeta) !== undefined),
  bytes: touchedBytes,
});

/**
 * y = (x − mean) / √(variance + eps) · gamma + beta, over each row.
 * @param x [R, H]
 * @param gamma [H]
 * @param beta [H]
 */
export function layerNorm(x: Value, gamma: Parameter, beta: Parameter, eps: number): Value {
  const { graph } = x;
  return applied(graph, layerNormOp, [x, graph.parameter(gamma), graph.parameter(beta)], { eps });
}
