/**
 * y = f(x Wᵀ + b) + residual; dx, dW and db as ops of their own; FLOPs of products and epilogues.
 * Contract: native/ops/linear.h. With an adapter in the same op: lora_linear.ts.
 */
import type { Parameter } from '../parameter';
import type { Sizes, Value } from '../value';
import { activationFlops, activationOf, slopeFlops } from './activation';
import { applied, defineOp, dimsOf, elements, type GradientContext, type OpCall, pick, touchedBytes } from './op';

/**
 * 2·R·K·N: a product of [R, K] with a weight of [N, K]. The bias starts the sums and costs nothing.
 */
export function productFlops(rows: Value | undefined, weight: Value | undefined, sizes: Sizes): number {
  const [R = 0] = dimsOf(rows, sizes);
  return 2 * R * elements(weight, sizes);
}

/** Activation and residual at the end of a product. */
export function epilogueFlops(call: OpCall, residual: Value | undefined, sizes: Sizes): number {
  return activationFlops(call, sizes) + elements(residual, sizes);
}

/** f' and residual at the end of a product that makes a gradient. */
export function gradientEpilogueFlops(call: OpCall, residual: Value | undefined, sizes: Sizes): number {
  return slopeFlops(call, call.outputs[0], sizes) + elements(residual, sizes);
}

/**
 * Gradient of an epilogue y = f(z) + residual: passes dy to the residual and gives dz = dy f'(z),
 * or undefined when none of `operands`, from which z is made, needs it.
 * @param preActivation position of z among the node's outputs.
 */
export function epilogueGradient(
  call: OpCall,
  back: GradientContext,
  residual: Value | undefined,
  preActivation: number,
  operands: readonly (Value | undefined)[],
): Value | undefined {
  back.pass(residual, back.dy);
  if (!back.needs(...operands)) return undefined;
  const activation = activationOf(call);
  if (!activation) return back.dy;
  return back.compute('activationBackward', [back.dy, back.keep(preActivation)], { activation });
}

export const linearOp = defineOp('linear', {
  role: 'forward',
  check: activationOf,
  gradient: (node, back) => {
    const [x, W, b, residual] = node.inputs;
    const dz = epilogueGradient(node, back, residual, 1, [x, W, b]);
    if (!dz) return;
    // Weights first: x may be freed before dx is made.
    const precision = pick(node, 'precision');
    back.emit('linearBackwardWeight', [dz, x], [W], precision);
    back.emit('biasBackward', [dz], [b]);
    back.emit('linearBackwardInput', [dz, W], [x], pick(node, 'precision', 'baseWeights'));
  },
  flops: (call, sizes) =>
    productFlops(call.inputs[0], call.inputs[1], sizes) + epilogueFlops(call, call.inputs[3], sizes),
  bytes: touchedBytes,
});

export const linearBackwardInputOp = defineOp('linearBackwardInput', {
  role: 'backward',
  check: activationOf,
  flops: (call, sizes) =>
    productFlops(call.inputs[0], call.inputs[1], sizes) + gradientEpilogueFlops(call, call.inputs[3], sizes),
  bytes: touchedBytes,
});

export const linearBackwardWeightOp = defineOp('linearBackwardWeight', {
  role: 'backward',
  flops: (call, sizes) => productFlops(call.inputs[0], call.outputs[0], sizes),
  bytes: touchedBytes,
});

export const biasBackwardOp = defineOp('biasBackward', {
  role: 'backward',
  flops: (call, sizes) => elements(call.inputs[0], sizes),
  bytes: touchedBytes,
});

/**
 * y = x Wᵀ + b.
 * @param x [R, K]
 * @param weight [N, K], as PyTorch stores it
 * @param bias [N]
 * @returns [R, N]
 */
export function linear(x: Value, weight: Parameter, bias?: Parameter): Value {
  const { graph } = x;
  return applied(graph, linearOp, [x, graph.parameter(weight), bias && graph.parameter(bias)]);
}
