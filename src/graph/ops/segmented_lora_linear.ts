/**
 * LoRA for rows of several adapters over one frozen W: each segment of rows has its own A, B, rank
 * and scaling, or none. One base product for all of them, and each row has the bits that its
 * adapter gives alone.
 * Contract: native/ops/segmented_lora_linear.h. One adapter for all rows: lora_linear.ts.
 */
import { FusedLoraError } from '../../base/errors';
import type { Parameter } from '../parameter';
import type { Graph, Sizes, Value } from '../value';
import { activationOf } from './activation';
import { dropoutAttributes } from './dropout_spec';
import { epilogueFlops, epilogueGradient, gradientEpilogueFlops, productFlops } from './linear';
import { applied, defineOp, dimsOf, type OpCall, type OpSpec, pick, placeOf, touchedBytes } from './op';

/** A [slots · rank, K] and B [slots · N, rank] must fit settings [slots, 2]. */
function checkSlots(op: OpSpec, call: OpCall, names: { A: number; B: number; settings: number }, N: unknown): void {
  const [A, B, settings] = [call.inputs[names.A], call.inputs[names.B], call.inputs[names.settings]];
  const [slots, rank] = [Number(settings?.shape[0]), Number(B?.shape[1])];
  const check = (name: string, value: Value | undefined, expected: number) => {
    if (value?.shape[0] === expected) return;
    throw new FusedLoraError(
      'INVALID_SHAPE',
      `${placeOf(op, call)}: operand ${name} (${value?.name}) has ${value?.shape[0]} rows, expected ${expected} for ` +
        `${slots} slots of rank ${rank}`,
    );
  };
  check('A', A, slots * rank);
  check('B', B, slots * Number(N));
}

/** u or v, and the update: both as if every row had an adapter of a slot's whole rank. */
function lowRankFlops(rows: Value | undefined, B: Value | undefined, across: number, sizes: Sizes): number {
  const [R = 0] = dimsOf(rows, sizes);
  return 2 * R * across * Number(B?.shape[1] ?? 0);
}

export const segmentedLoraLinearOp = defineOp('segmentedLoraLinear', {
  role: 'forward',
  check(call) {
    activationOf(call);
    checkSlots(this, call, { A: 3, B: 4, settings: 5 }, call.inputs[1]?.shape[0]);
  },
  gradient: (node, back) => {
    const [x, W, b, A, B, settings, ends, residual, tokenIndex] = node.inputs;
    const dz = epilogueGradient(node, back, residual, 2, [x, W, b, A, B]);
    if (!dz) return;
    back.emit('linearBackwardWeight', [dz, x], [W], pick(node, 'precision'));
    back.emit('biasBackward', [dz], [b]);
    if (!back.needs(x, A, B)) return;
    back.emit(
      'segmentedLoraLinearBackward',
      [dz, x, back.keep(1), back.needs(x) ? W : undefined, A, B, settings, ends, tokenIndex],
      [x, A, B],
      pick(node, 'dropout', 'site', 'precision', 'baseWeights'),
    );
  },
  flops: (call, sizes) => {
    const [x, W, , A, B, , , residual] = call.inputs;
    const [N, K] = [Number(W?.shape[0]), Number(A?.shape[1])];
    return productFlops(x, W, sizes) + lowRankFlops(x, B, N + K, sizes) + epilogueFlops(call, residual, sizes);
  },
  bytes: touchedBytes,
});

export const segmentedLoraLinearBackwardOp = defineOp('segmentedLoraLinearBackward', {
  role: 'backward',
  check(call) {
    activationOf(call);
    checkSlots(this, call, { A: 4, B: 5, settings: 6 }, call.inputs[0]?.shape[1]);
  },
  flops: (call, sizes) => {
    const [dy, x, , W, , B] = call.inputs;
    const [N, K] = [Number(dy?.shape[1]), Number(x?.shape[1])];
    const [dx, dA, dB] = call.outputs;
    const toInput = dx ? productFlops(dy, W, sizes) + lowRankFlops(dy, B, K, sizes) : 0;
    // v and dB read dy against B's size, dA has A's.
    const toAdapters = lowRankFlops(dy, B, N + (dA ? K : 0) + (dB ? N : 0), sizes);
    return toInput + toAdapters + gradientEpilogueFlops(call, call.inputs[10], sizes);
  },
  bytes: touchedBytes,
});

/**
 * Adapters of one layer in slots, each with up to `rank` of rank:
 * - A [slots · rank, K]: slot g begins at row g · rank, with its A [r, K];
 * - B [slots · N, rank]: slot g begins at row g · N, with its B [N, r], dense;
 * - settings [slots, 2]: the rank r and the scaling of each. They are not trained.
 *
 * Another adapter in a slot needs no new program: its values are written there.
 */
export interface AdapterSlots {
  A: Parameter;
  B: Parameter;
  settings: Parameter;
}

/** Names of the batch inputs with the ends of segments, by what rows are. */
const ENDS = { T: 'tokenEnds', S: 'sequenceEnds', M: 'rowEnds' } as const;

/**
 * The batch input that says where the rows of each slot end [slots]: `tokenEnds` for tokens,
 * `sequenceEnds` for sequences and `rowEnds` for gathered rows. Rows of a batch are in the order of
 * slots, and what comes behind the last slot's has no adapter.
 */
export function segmentEnds(graph: Graph, rows: 'T' | 'S' | 'M', slots: number): Value {
  return graph.input(ENDS[rows], 'i32', [slots]);
}

/** Of {@link segmentedLoraLinear}. */
export interface SegmentedLoraLinearOptions {
  /** LoRA dropout of all adapters. Default 0. */
  dropout?: number;
  /**
   * [R] i32: the token of each row in its segment's own batch. Needed with dropout.
   */
  tokenIndex?: Value | undefined;
}

/**
 * y = x Wᵀ + b + s_g · dropout(x) A_gᵀ B_gᵀ for the rows of slot g; x Wᵀ + b for rows of none.
 * @param x [R, K], in the order of slots
 * @param weight [N, K], frozen
 * @param bias [N]
 * @returns [R, N]
 */
export function segmentedLoraLinear(
  x: Value,
  weight: Parameter,
  bias: Parameter | undefined,
  slots: AdapterSlots,
  options: SegmentedLoraLinearOptions = {},
): Value {
  const { graph } = x;
  const rows = x.shape[0];
  if (rows !== 'T' && rows !== 'S' && rows !== 'M') {
    throw new FusedLoraError('INVALID_SHAPE', `segmentedLoraLinear: x has ${rows} rows; segments are of T, S or M`);
  }
  const dropout = dropoutAttributes(graph, options.dropout ?? 0);
  return applied(
    graph,
    segmentedLoraLinearOp,
    [
      x,
      graph.parameter(weight),
      bias && graph.parameter(bias),
      graph.parameter(slots.A),
      graph.parameter(slots.B),
      graph.parameter(slots.settings),
      segmentEnds(graph, rows, slots.settings.shape[0] as number),
      undefined,
      dropout['site'] === undefined ? undefined : options.tokenIndex,
    ],
    dropout,
  );
}
