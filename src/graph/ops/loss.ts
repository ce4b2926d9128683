/**
 * crossEntropy, mse and bceWithLogits: from logits to one number, and back to dlogits.
 * Contract: native/ops/loss.h. Which loss a task has: src/nn/model.ts and src/models/heads.ts.
 */
import { FusedLoraError } from '../../base/errors';
import type { Parameter } from '../parameter';
import type { Value } from '../value';
import { applied, defineOp, elements, type OpCall, touchedBytes } from './op';

function refuseTrained(op: string, call: OpCall, operand: Value | undefined): void {
  throw new FusedLoraError(
    'INVALID_ARGUMENT',
    `${call.path ? `${call.path}: ` : ''}${op}: ${operand?.name} can not be trained through a loss; freeze what it is made of`,
  );
}

export const crossEntropyOp = defineOp('crossEntropy', {
  role: 'loss',
  gradient: (node, back) => {
    const [logits, labels, classWeights] = node.inputs;
    if (back.needs(classWeights)) refuseTrained('crossEntropy', node, classWeights);
    back.emit('crossEntropyBackward', [logits, labels, classWeights], [logits], node.attributes);
  },
  // A logit: maximum, subtract, exp, sum.
  flops: (call, sizes) => 4 * elements(call.inputs[0], sizes),
  bytes: touchedBytes,
});

export const crossEntropyBackwardOp = defineOp('crossEntropyBackward', {
  role: 'backward',
  // As forward, and divide, subtract the target, scale.
  flops: (call, sizes) => 7 * elements(call.inputs[0], sizes),
  bytes: touchedBytes,
});

export const mseOp = defineOp('mse', {
  role: 'loss',
  gradient: (node, back) => {
    const [x, target] = node.inputs;
    if (back.needs(target)) refuseTrained('mse', node, target);
    back.emit('mseBackward', [x, target], [x]);
  },
  flops: (call, sizes) => 3 * elements(call.inputs[0], sizes),
  bytes: touchedBytes,
});

export const mseBackwardOp = defineOp('mseBackward', {
  role: 'backward',
  flops: (call, sizes) => 2 * elements(call.inputs[0], sizes),
  bytes: touchedBytes,
});

export const bceWithLogitsOp = defineOp('bceWithLogits', {
  role: 'loss',
  gradient: (node, back) => {
    const [logits, target] = node.inputs;
    if (back.needs(target)) refuseTrained('bceWithLogits', node, target);
    back.emit('bceWithLogitsBackward', [logits, target], [logits]);
  },
  // A logit: exp, logarithm, product, and four sums.
  flops: (call, sizes) => 7 * elements(call.inputs[0], sizes),
  bytes: touchedBytes,
});

export const bceWithLogitsBackwardOp = defineOp('bceWithLogitsBackward', {
  role: 'backward',
  // A logit: exp, add, divide, subtract, scale.
  flops: (call, sizes) => 5 * elements(call.inputs[0], sizes),
  bytes: touchedBytes,
});

/** Of {@link crossEntropy}. */
export interface CrossEntropyOptions {
  /** Share of the target spread over all classes, in [0, 1). Default 0. */
  labelSmoothing?: number | undefined;
  /** Rows with this label count for nothing. Default -100. */
  ignoreIndex?: number | undefined;
  /** [C] weights of the classes, frozen. Default: ones. */
  classWeights?: Parameter | undefined;
}

/**
 * Softmax cross-entropy, the (weighted) mean over rows.
 * @param logits [R, C]
 * @param labels [R] i32, in 0..C-1 or `ignoreIndex`
 * @returns [1]
 */
export function crossEntropy(logits: Value, labels: Value, options: CrossEntropyOptions = {}): Value {
  const { labelSmoothing, ignoreIndex, classWeights } = options;
  const { graph } = logits;
  return applied(graph, crossEntropyOp, [logits, labels, classWeights && graph.parameter(classWeights)], {
    ...(labelSmoothing === undefined ? {} : { labelSmoothing }),
    ...(ignoreIndex === undefined ? {} : { ignoreIndex }),
  });
}

/**
 * Mean squared difference.
 * @param x [R, C]
 * @param target [R, C]
 * @returns [1]
 */
export function mse(x: Value, target: Value): Value {
  return applied(x.graph, mseOp, [x, target]);
}

/**
 * Binary cross-entropy of independent labels, the mean over all entries.
 * @param logits [R, C]
 * @param target [R, C] floats, 0 or 1 (or between)
 * @returns [1]
 */
export function bceWithLogits(logits: Value, target: Value): Value {
  return applied(logits.graph, bceWithLogitsOp, [logits, target]);
}
