/**
 * What a product multiplies in place of a weight that is held in fewer bits: the values that its
 * codes stand for. The forms: base_weights.ts.
 */
import { native } from '../native';
import type { BaseWeights } from './base_weights';
import type { Parameter } from './parameter';

const STEP = { seed: 0n, forwardNumber: 0, lossScale: 1 };
const ROWS_AT_ONCE = 256;

/**
 * Found by the product itself: rows of the identity times W.
 *
 * @param weight [N, K]
 * @returns [N, K]
 */
export async function heldValues(weight: Parameter, baseWeights: BaseWeights): Promise<Float32Array> {
  const [N, K] = weight.shape as [number, number];
  const held = new (native().Parameter)('cpu', weight.name, [N, K], 'f32');
  try {
    held.write('value', weight.data());
    const values = new Float32Array(N * K);
    for (let first = 0; first < N; first += ROWS_AT_ONCE) {
      const rows = Math.min(ROWS_AT_ONCE, N - first);
      const dy = { data: new Float32Array(rows * N), shape: [rows, N] };
      for (let i = 0; i < rows; i++) dy.data[i * N + first + i] = 1;
      const dx = { data: values.subarray(first * K, (first + rows) * K), shape: [rows, K] };
      await native().runOp('cpu', 'linearBackwardInput', [dy, held], [dx], { baseWeights }, STEP);
    }
    return values;
  } finally {
    held.dispose();
  }
}
