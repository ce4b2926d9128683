/**
 * gelu, geluTanh, relu and tanh, elementwise, with their derivatives and FLOPs.
 * Contract: native/ops/activation.h. As an epilogue of a product: linear.ts, rewrite/fuse.ts.
 */
import { FusedLoraError } from '../../base/errors';
import type { Sizes, Value } from '../value';
import { applied, defineOp, elements, type OpCall, touchedBytes } from './op';
import type { ACTIVATIONS } from './signatures';

export type ActivationKind = 'gelu' | 'geluTanh' | 'relu' | 'tanh';

/**
 * FLOPs an element of f and of f', by the counting rule of OpDefinition.flops: of all that the
 * native side has.
 */
const COST: Readonly<Record<Exclude<(typeof ACTIVATIONS)[number], 'none'>, { forward: number; backward: number }>> = {
  gelu: { forward: 5, backward: 10 },
  geluTanh: { forward: 9, backward: 15 },
  relu: { forward: 1, backward: 1 },
  tanh: { forward: 1, backward: 4 },
};

/** The function of an `activation` attribute; undefined for none. */
export function activationOf(call: OpCall): ActivationKind | undefined {
  const kind = call.attributes['activation'] ?? 'none';
  if (kind === 'none') return undefined;
  if (typeof kind === 'string' && Object.hasOwn(COST, kind)) return kind as keyof typeof COST;
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `${call.path ? `${call.path}: ` : ''}activation '${kind}' is not known; use one of ${Object.keys(COST).join(', ')}`,
  );
}

/** FLOPs of an activation, alone or as the epilogue of a product. */
export function activationFlops(call: OpCall, sizes: Sizes): number {
  const kind = activationOf(call);
  return kind ? COST[kind].forward * elements(call.outputs[0], sizes) : 0;
}

/** The same for f' dx, where dx [R, K] is the result of a product. */
export function slopeFlops(call: OpCall, dx: Value | undefined, sizes: Sizes): number {
  const kind = activationOf(call);
  return kind ? COST[kind].backward * elements(dx, sizes) : 0;
}

export const activationOp = defineOp('activation', {
  role: 'forward',
  check: activationOf,
  gradient: ({ inputs: [x], attributes }, back) => back.emit('activationBackward', [back.dy, x], [x], attributes),
  flops: activationFlops,
  bytes: touchedBytes,
});

export const activationBackwardOp = defineOp('activationBackward', {
  role: 'backward',
  check: activationOf,
  flops: (call, sizes) => slopeFlops(call, call.outputs[0], sizes),
  bytes: touchedBytes,
});

/** y = f(x), elementwise; x and y are [R, N]. `gelu` is the exact one (erf). */
export function activation(x: Value, kind: ActivationKind): Value {
  return applied(x.graph, activationOp, [x], { activation: kind });
}
