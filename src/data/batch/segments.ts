/**
 * Batches whose rows are of several adapters, those of each side by side: their order, and where
 * each one's rows end. A batch as such is laid out in packing.ts; the slots of adapters are
 * src/lora/slots.ts.
 */
import type { EncodedExample } from '../tokenize/encoded_example';
import type { Batch } from './batch';
import { type PositionRule, packBatch } from './packing';

/**
 * Packs examples by slot; `exampleIndices` of the batch has their order.
 *
 * @param slots of every example, by its index; `count` and more: without an adapter, at the end.
 * @param count of slots.
 * @returns a batch with two tensors more: `tokenEnds` and `sequenceEnds` [count], the rows and the
 * sequences up to the end of each slot.
 */
export function packSegments(
  examples: readonly EncodedExample[],
  indices: Int32Array,
  slots: readonly number[],
  count: number,
  rule: PositionRule,
): Batch {
  const order = indices.slice().sort((a, b) => slots[a]! - slots[b]! || a - b);
  const batch = packBatch(examples, order, rule);
  const tokenEnds = new Int32Array(count);
  const sequenceEnds = new Int32Array(count);
  for (const index of order) {
    for (let slot = slots[index]!; slot < count; slot++) {
      tokenEnds[slot]! += examples[index]!.inputIds.length;
      sequenceEnds[slot]!++;
    }
  }
  return { ...batch, tensors: { ...batch.tensors, tokenEnds, sequenceEnds } };
}
