/**
 * LoftQ's first values of A and B (Li et al. 2023, arXiv 2310.08659): the adapter begins where it
 * makes up best for what the weights lose in fewer bits. The base stays as it is quantised, so this
 * is the paper's algorithm 1 with one step, as PEFT's replace_lora_weights_loftq.
 * Singular vectors: combine/low_rank.ts; what a weight loses: src/graph/held_values.ts.
 */
import { FusedLoraError } from '../base/errors';
import type { BaseWeights } from '../graph/base_weights';
import { heldValues } from '../graph/held_values';
import type { Module } from '../nn';
import { lowRankOf } from './combine/low_rank';
import { loraLinears } from './registry';

/**
 * Sets A and B of an adapter so that s · B A is the best approximation, of its rank, of W − Q(W).
 * PEFT leaves out s, and so needs alpha = r.
 *
 * @param model with the adapter, whose values are replaced.
 * @param baseWeights what the weights will be held in.
 * @throws FusedLoraError INVALID_ARGUMENT for fp32: nothing is lost there.
 */
export async function initializeLoftq(model: Module, baseWeights: BaseWeights, name = 'default'): Promise<void> {
  if (baseWeights === 'fp32') {
    throw new FusedLoraError(
      'INVALID_ARGUMENT',
      'initLoraWeights "loftq" makes up for weights in fewer bits: give baseWeights int8 or nf4 (--base-weights), or leave it out',
    );
  }
  for (const [, layer] of loraLinears(model)) {
    if (!layer.adapters.has(name)) continue;
    const { A, B, settings } = layer.adapter(name);
    const { weight } = layer.base_layer;
    const { inFeatures: K, outFeatures: N } = layer;
    const held = await heldValues(weight, baseWeights);
    const lost = Float64Array.from(weight.data(), (value, i) => value - held[i]!);
    const { rank, scaling } = settings;
    const most = Math.min(rank, N, K);
    const low = lowRankOf(lost, [N, K], most);
    const a = new Float32Array(rank * K);
    const b = new Float32Array(N * rank);
    for (let j = 0; j < most; j++) {
      // Columns of B are as long as the singular values: half of each goes to A.
      let square = 0;
      for (let n = 0; n < N; n++) square += low.B[n * most + j]! ** 2;
      const size = Math.sqrt(square);
      if (size === 0) continue;
      const half = Math.sqrt(size / scaling);
      for (let k = 0; k < K; k++) a[j * K + k] = low.A[j * K + k]! * half;
      for (let n = 0; n < N; n++) b[n * rank + j] = (low.B[n * most + j]! / size) * half;
    }
    A.setData(a);
    B.setData(b);
  }
}
