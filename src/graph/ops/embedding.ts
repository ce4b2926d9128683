/**
 * embeddingSum: word, position and token-type rows summed in one pass; its gradient adds to the
 * tables.
 * Contract: native/ops/embedding.h. The modules that own the tables: src/nn/embedding.ts.
 */
import { FusedLoraError } from '../../base/errors';
import type { Parameter } from '../parameter';
import type { Value } from '../value';
import { applied, bytesOf, defineOp, elements, numberOf } from './op';

/**
 * Attribute that keeps table i's padding index for the
 * gradient rule; the forward op does not read it.
 */
const paddingName = (table: number) => `paddingIndex${table}`;

export const embeddingSumOp = defineOp('embeddingSum', {
  role: 'forward',
  gradient: (node, back) => {
    for (let i = 0; i < node.inputs.length / 2; i++) {
      const padding = numberOf(node, paddingName(i), -1);
      const attributes = padding >= 0 ? { paddingIndex: padding } : {};
      back.emit('embeddingBackward', [node.inputs[2 * i], back.dy], [node.inputs[2 * i + 1]], attributes);
    }
  },
  flops: (call, sizes) => (call.inputs.length / 2 - 1) * elements(call.outputs[0], sizes),
  // One row of each table a token; in int8 the first one's has a byte a value, and a scale.
  bytes: ({ inputs, outputs, attributes }, sizes) => {
    const row = bytesOf(outputs[0], sizes);
    const ids = inputs.filter((value) => value?.dtype === 'i32');
    const saved = attributes['baseWeights'] === 'int8' ? (3 / 4) * row - bytesOf(ids[0], sizes) : 0;
    return ids.reduce((sum, each) => sum + bytesOf(each, sizes) + row, row) - saved;
  },
});

export const embeddingBackwardOp = defineOp('embeddingBackward', {
  role: 'backward',
  flops: (call, sizes) => elements(call.inputs[1], sizes),
  bytes: ({ inputs: [ids, dy] }, sizes) => bytesOf(ids, sizes) + 3 * bytesOf(dy, sizes),
});

const MAX_TABLES = embeddingSumOp.inputs.length / 2;

/** A table and which of its rows. */
export interface EmbeddingTerm {
  /** [T] i32 */
  ids: Value;
  /** [V, H] */
  table: Parameter;
  /** A row that gets no gradient. Default: none. */
  paddingIndex?: number | undefined;
}

/**
 * y[t] = Σ_i table_i[ids_i[t]], one to four terms.
 * @returns [T, H]
 */
export function embeddingSum(...terms: EmbeddingTerm[]): Value {
  const graph = terms[0]?.ids.graph;
  if (!graph || terms.length > MAX_TABLES) {
    throw new FusedLoraError('INVALID_ARGUMENT', `embeddingSum takes 1 to ${MAX_TABLES} terms, got ${terms.length}`);
  }
  const padding: Record<string, number> = {};
  terms.forEach(({ paddingIndex }, i) => {
    if (paddingIndex !== undefined) padding[paddingName(i)] = paddingIndex;
  });
  return applied(
    graph,
    embeddingSumOp,
    terms.flatMap(({ ids, table }) => [ids, graph.parameter(table)]),
    padding,
  );
}
