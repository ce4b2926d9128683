/**
 * add, scale and dropout: ops without weights, one result for each element.
 * Contract: native/ops/elementwise.h. Most of them vanish into products:
 * src/graph/rewrite/fuse.ts.
 */
import type { Value } from '../value';
import { dropoutAttributes } from './dropout_spec';
import { applied, defineOp, elements, touchedBytes } from './op';

export const addOp = defineOp('add', {
  role: 'forward',
  gradient: ({ inputs: [a, b] }, back) => {
    back.pass(a, back.dy);
    back.pass(b, back.dy);
  },
  flops: (call, sizes) => elements(call.outputs[0], sizes),
  bytes: touchedBytes,
});

export const scaleOp = defineOp('scale', {
  role: 'forward',
  gradient: ({ inputs: [x], attributes }, back) => back.emit('scale', [back.dy], [x], attributes),
  flops: (call, sizes) => elements(call.outputs[0], sizes),
  bytes: touchedBytes,
});

export const dropoutOp = defineOp('dropout', {
  role: 'forward',
  gradient: ({ inputs: [x, tokenIndex], attributes }, back) =>
    back.emit('dropout', [back.dy, tokenIndex], [x], attributes),
  flops: (call, sizes) => elements(call.outputs[0], sizes),
  bytes: touchedBytes,
});

/** y = a + b, both [R, N]. */
export function add(a: Value, b: Value): Value {
  return applied(a.graph, addOp, [a, b]);
}

/** y = factor · x. */
export function scale(x: Value, factor: number): Value {
  return applied(x.graph, scaleOp, [x], { factor });
}

/**
 * y = mask · x / (1 − p) while training; x itself in evaluation and for p = 0.
 * @param tokenIndex [R] i32: the logical token of each row,
 *   where rows are a selection; the row number by default.
 */
export function dropout(x: Value, p: number, tokenIndex?: Value): Value {
  const attributes = dropoutAttributes(x.graph, p);
  return attributes['site'] === undefined ? x : applied(x.graph, dropoutOp, [x, tokenIndex], attributes);
}
