/**
 * What an output of a program has for one sequence of a batch. How sequences lie in a batch:
 * packing.ts.
 */
import type { Batch } from './batch';

/**
 * @param values of the output, `features` a row.
 * @param rows whether it has a row a token (T) or a sequence (S).
 * @param sequence of the batch, counted from 0.
 * @returns a copy: [features], or [tokens of the sequence * features].
 */
export function outputRows(
  values: Float32Array,
  features: number,
  rows: 'T' | 'S',
  { tensors }: Pick<Batch, 'tensors'>,
  sequence: number,
): Float32Array {
  const offsets = tensors['cuSeqlens'] as Int32Array;
  const [first, last] = rows === 'S' ? [sequence, sequence + 1] : [offsets[sequence]!, offsets[sequence + 1]!];
  return values.slice(first * features, last * features);
}
