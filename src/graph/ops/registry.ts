/**
 * All ops by name, the same names as those of native/ops.
 * What an op consists of (shape rule, gradient, cost) is defined in op.ts, one file an op beside
 * it.
 */
import { FusedLoraError } from '../../base/errors';
import { activationBackwardOp, activationOp } from './activation';
import { addLayerNormBackwardOp, addLayerNormOp } from './add_layer_norm';
import { attentionBackwardOp, attentionOp } from './attention';
import { addOp, dropoutOp, scaleOp } from './elementwise';
import { embeddingBackwardOp, embeddingSumOp } from './embedding';
import { gatherRowsBackwardOp, gatherRowsOp } from './gather_rows';
import { layerNormBackwardOp, layerNormOp } from './layer_norm';
import { biasBackwardOp, linearBackwardInputOp, linearBackwardWeightOp, linearOp } from './linear';
import { loraLinearBackwardOp, loraLinearOp } from './lora_linear';
import {
  bceWithLogitsBackwardOp,
  bceWithLogitsOp,
  crossEntropyBackwardOp,
  crossEntropyOp,
  mseBackwardOp,
  mseOp,
} from './loss';
import type { OpDefinition } from './op';
import { adamwOp, squaredNormOp } from './optimizer';

export const ops: ReadonlyMap<string, OpDefinition> = new Map(
  [
    activationOp,
    activationBackwardOp,
    adamwOp,
    addOp,
    addLayerNormOp,
    addLayerNormBackwardOp,
    attentionOp,
    attentionBackwardOp,
    biasBackwardOp,
    bceWithLogitsOp,
    bceWithLogitsBackwardOp,
    crossEntropyOp,
    crossEntropyBackwardOp,
    dropoutOp,
    embeddingBackwardOp,
    embeddingSumOp,
    gatherRowsOp,
    gatherRowsBackwardOp,
    layerNormOp,
    layerNormBackwardOp,
    linearOp,
    linearBackwardInputOp,
    linearBackwardWeightOp,
    loraLinearOp,
    loraLinearBackwardOp,
    mseOp,
    mseBackwardOp,
    scaleOp,
    squaredNormOp,
  ].map((op) => [op.name, op]),
);

/** The op of this name; INTERNAL when there is none. */
export function opByName(name: string): OpDefinition {
  const op = ops.get(name);
  if (!op) throw new FusedLoraError('INTERNAL', `there is no op named '${name}'`);
  return op;
}
