/**
 * y = f(x W0ᵀ + b + s (x Aᵀ) Bᵀ) + residual as one op, and its gradients: dx, dA, dB, W0 frozen.
 * Contract: native/ops/lora_linear.h. The module that puts it into a model:
 * src/lora/lora_linear.ts.
 */
import type { Parameter } from '../parameter';
import type { Value } from '../value';
import { activationOf } from './activation';
import { dropoutAttributes } from './dropout_spec';
import { epilogueFlops, epilogueGradient, gradientEpilogueFlops, productFlops } from './linear';
import { applied, defineOp, type GradientContext, numberOf, type OpCall, pick, touchedBytes } from './op';

export const loraLinearOp = defineOp('loraLinear', {
  role: 'forward',
  check: activationOf,
  gradient: (node, back) => {
    const [x, W, b, A, B, residual] = node.inputs;
    const dz = epilogueGradient(node, back, residual, 2, [x, W, b, A, B]);
    if (!dz) return;
    // The base product reads x without LoRA dropout.
    back.emit('linearBackwardWeight', [dz, x], [W], pick(node, 'precision'));
    back.emit('biasBackward', [dz], [b]);
    if (back.needs(A) && back.needs(B)) fusedGradient(node, back, dz);
    else separateGradient(node, back, dz);
  },
  flops: (call, sizes) => {
    const [x, W, , A, B, residual] = call.inputs;
    const products = productFlops(x, W, sizes) + productFlops(x, A, sizes) + productFlops(x, B, sizes);
    return products + epilogueFlops(call, residual, sizes);
  },
  bytes: touchedBytes,
});

function fusedGradient(node: OpCall, back: GradientContext, dz: Value): void {
  const [x, W, , A, B, , tokenIndex] = node.inputs;
  back.emit(
    'loraLinearBackward',
    [dz, x, back.keep(1), back.needs(x) ? W : undefined, A, B, tokenIndex],
    [x, A, B],
    pick(node, 'scaling', 'dropout', 'site', 'precision', 'baseWeights'),
  );
}

/**
 * With A or B frozen (an adapter below the trained ones, or
 * B alone trained) only what is left of the formulas.
 */
function separateGradient(node: OpCall, back: GradientContext, dz: Value): void {
  const [x, W, , A, B, , tokenIndex] = node.inputs;
  const dropout = numberOf(node, 'dropout') > 0 ? pick(node, 'dropout', 'site') : undefined;
  const precision = pick(node, 'precision');
  if (back.needs(B)) back.emit('linearBackwardWeight', [dz, back.keep(1)], [B], precision);
  if (!back.needs(x, A)) return;
  const v = back.compute('scale', [back.compute('linearBackwardInput', [dz, B], precision)], {
    factor: numberOf(node, 'scaling', 1),
  });
  if (back.needs(A)) {
    const dropped = dropout ? back.compute('dropout', [x, tokenIndex], dropout) : x;
    back.emit('linearBackwardWeight', [v, dropped], [A], precision);
  }
  if (!back.needs(x)) return;
  if (dropout) back.emit('dropout', [back.compute('linearBackwardInput', [v, A], precision), tokenIndex], [x], dropout);
  else back.emit('linearBackwardInput', [v, A], [x], precision);
  back.emit('linearBackwardInput', [dz, W], [x], pick(node, 'precision', 'baseWeights'));
}

export const loraLinearBackwardOp = defineOp('loraLinearBackward', {
  role: 'backward',
  check: activationOf,
  flops: (call, sizes) => {
    const [dy, , , W, A, B] = call.inputs;
    const dx = call.outputs[0] ? productFlops(dy, W, sizes) + productFlops(dy, A, sizes) : 0;
    // v and dB read dy against B's size, dA has A's.
    const products = dx + 2 * productFlops(dy, B, sizes) + productFlops(dy, A, sizes);
    return products + gradientEpilogueFlops(call, call.inputs[8], sizes);
  },
  bytes: touchedBytes,
});

/** Of {@link loraLinear}. */
export interface LoraLinearOptions {
  /** s = alpha / r, or alpha / √r. */
  scaling: number;
  /** LoRA dropout, on the adapter's input alone. Default 0. */
  dropout?: number;
  /** [R] i32: the logical token of each row, where rows are a selection. */
  tokenIndex?: Value | undefined;
}

/**
 * y = x Wᵀ + b + s · dropout(x) Aᵀ Bᵀ.
 * @param x [R, K]
 * @param weight [N, K]
 * @param bias [N]
 * @param A [r, K], rank r in 1..256
 * @param B [N, r]
 * @returns [R, N]
 */
export function loraLinear(
  x: Value,
  weight: Parameter,
  bias: Parameter | undefined,
  A: Parameter,
  B: Parameter,
  options: LoraLinearOptions,
): Value {
  const { graph } = x;
  const dropout = dropoutAttributes(graph, options.dropout ?? 0);
  return applied(
    graph,
    loraLinearOp,
    [
      x,
      graph.parameter(weight),
      bias && graph.parameter(bias),
      graph.parameter(A),
      graph.parameter(B),
      undefined,
      dropout['site'] === undefined ? undefined : options.tokenIndex,
    ],
    { scaling: options.scaling, ...dropout },
  );
}
