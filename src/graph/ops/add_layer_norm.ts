/**
 * addLayerNorm: layerNorm(residual + dropout(x)), the end of each half of an encoder layer, as one
 * op.
 * Contract: native/ops/add_layer_norm.h. Made from separate ops by src/graph/rewrite/fuse.ts.
 */
import { LAYER_NORM_FLOPS, layerNormBackwardFlops } from './layer_norm';
import { defineOp, elements, numberOf, pick, touchedBytes } from './op';

export const addLayerNormOp = defineOp('addLayerNorm', {
  role: 'forward',
  gradient: (node, back) => {
    const [x, residual, gamma, beta, tokenIndex] = node.inputs;
    if (!back.needs(x, residual, gamma, beta)) return;
    const inputs = [back.dy, back.keep(1), gamma, back.keep(2), tokenIndex];
    if (numberOf(node, 'dropout') > 0) {
      back.emit('addLayerNormBackward', inputs, [x, residual, gamma, beta], pick(node, 'dropout', 'site'));
    } else {
      // Without dropout dx is dresidual: written once, read as both.
      back.emit('addLayerNormBackward', inputs, [undefined, [x, residual], gamma, beta]);
    }
  },
  flops: (call, sizes) => {
    const dropout = numberOf(call, 'dropout') > 0 ? 1 : 0;
    return (LAYER_NORM_FLOPS + 1 + dropout) * elements(call.outputs[0], sizes);
  },
  bytes: touchedBytes,
});

export const addLayerNormBackwardOp = defineOp('addLayerNormBackward', {
  role: 'backward',
  flops: (call, sizes) => {
    const [dx, dresidual, dgamma, dbeta] = call.outputs;
    const count = elements(call.inputs[0], sizes);
    const mask = dx && numberOf(call, 'dropout') > 0 ? count : 0;
    return mask + layerNormBackwardFlops(count, (dx ?? dresidual) !== undefined, (dgamma ?? dbeta) !== undefined);
  },
  bytes: touchedBytes,
});
