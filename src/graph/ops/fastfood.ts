/**
 * fastfood: a point of a random subspace of all weights, and its transpose as the gradient.
 * Contract and source: native/ops/fastfood.h. Models are trained in such a subspace by
 * src/subspace.
 */
import type { Parameter } from '../parameter';
import type { Attributes, Sizes, Value } from '../value';
import { applied, defineOp, elements, type OpCall, pick, touchedBytes } from './op';

const MAP = ['seed', 'block', 'scale', 'gain'] as const;

/** The power of two from `dimension` up: rows of a block of V. */
export function blockRows(dimension: number): number {
  let n = 1;
  while (n < dimension) n *= 2;
  return n;
}

/** Two transforms of n log2 n additions a block, and a few operations a value. */
function transformFlops(rows: Value | undefined, z: Value | undefined, sizes: Sizes): number {
  const n = blockRows(elements(z, sizes));
  const blocks = Math.ceil(elements(rows, sizes) / n);
  return blocks * n * (2 * Math.log2(n) + 4);
}

export const fastfoodOp = defineOp('fastfood', {
  role: 'forward',
  gradient: (node: OpCall, back) => {
    const [z, base, gains] = node.inputs;
    back.pass(base, back.dy);
    if (back.needs(z, gains)) back.emit('fastfoodBackward', [back.dy, z, gains], [z, gains], pick(node, ...MAP));
  },
  flops: (call, sizes) => transformFlops(call.outputs[0], call.inputs[0], sizes),
  bytes: touchedBytes,
});

export const fastfoodBackwardOp = defineOp('fastfoodBackward', {
  role: 'backward',
  flops: (call, sizes) => transformFlops(call.inputs[0], call.inputs[1], sizes),
  bytes: touchedBytes,
});

/** Of {@link fastfood}: which rows of V, and how much of them. */
export interface FastfoodOptions {
  /** Of V, an integer from 0 to 2^53. */
  seed: number;
  /** Number of the first block of V's rows. Default 0. */
  block?: number;
  /** Default 1. */
  scale?: number;
  /** [m] factors, of which this one takes number `gain`. Default: the factor 1. */
  gains?: Parameter | undefined;
  /** Default 0. */
  gain?: number;
}

/**
 * y = base + scale · gains[gain] · V z.
 * @param z [D]
 * @param base [R, N], frozen
 * @returns [R, N]
 */
export function fastfood(base: Value, z: Parameter, options: FastfoodOptions): Value {
  const { graph } = base;
  const { gains, ...map } = options;
  return applied(graph, fastfoodOp, [graph.parameter(z), base, gains && graph.parameter(gains)], map as Attributes);
}
