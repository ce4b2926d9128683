/**
 * gatherRows: some rows of a matrix (first tokens, masked tokens), and the gradient that scatters
 * back.
 * Contract: native/ops/gather_rows.h. Work on other rows is removed by
 * src/graph/rewrite/dead_tokens.ts.
 */
import type { Value } from '../value';
import { applied, bytesOf, defineOp, elements, touchedBytes } from './op';

export const gatherRowsOp = defineOp('gatherRows', {
  role: 'forward',
  gradient: ({ inputs: [x, index] }, back) => back.emit('gatherRowsBackward', [back.dy, index], [x]),
  flops: () => 0,
  bytes: ({ inputs: [, index], outputs: [y] }, sizes) => bytesOf(index, sizes) + 2 * bytesOf(y, sizes),
});

export const gatherRowsBackwardOp = defineOp('gatherRowsBackward', {
  role: 'backward',
  flops: (call, sizes) => elements(call.inputs[0], sizes),
  bytes: touchedBytes,
});

/**
 * y[g] = x[index[g]].
 * @param x [R, N]
 * @param index [G] i32: one row a sequence ([S]) or a masked position ([M])
 * @returns [G, N]
 */
export function gatherRows(x: Value, index: Value): Value {
  return applied(x.graph, gatherRowsOp, [x, index]);
}
