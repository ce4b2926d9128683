// u = s dropout(x) A^T and v = s dy B in fp32: products of few results a row, as blocks make them.
// The kernels around it: cuda/ops/lora_linear.cu, segmented_lora_linear.cu; bf16: low_rank_bf16.cu.
#pragma once

#include "cuda/ops/mask.cuh"

namespace fl::cuda {

/// out[row, i] = scaling * sum_k mask(row, k) x[row, k] factor(k, i)
struct LowRankProduct {
  static constexpr int kWarp = 32, kWarps = 4, kRowsPerWarp = 4, kRanks = 8;
  static constexpr int kThreads = kWarps * kWarp, kBlockRows = kWarps * kRowsPerWarp;
  static_assert(kRowsPerWarp * kRanks == kWarp, "each lane writes one element");

  int64_t rows = 0, depth = 0, rank = 0;
  const float* x = nullptr;  // [rows, depth]
  Mask mask;
  /// [rank, depth] (A), or [depth, rank] (B).
  const float* factor = nullptr;
  float scaling = 1;
  float* out = nullptr;  // [rows, rank]
};

/// A block's part: kBlockRows rows from `blockRow` on, kRanks ranks from firstRank on. A warp has
/// kRowsPerWarp rows and kRanks ranks; its lanes share the depth and add up in a fixed tree.
template <bool depthContiguous>
__device__ inline void lowRankRows(const LowRankProduct& p, int64_t blockRow, int64_t firstRank) {
  constexpr int kWarp = LowRankProduct::kWarp, kRowsPerWarp = LowRankProduct::kRowsPerWarp;
  constexpr int kRanks = LowRankProduct::kRanks;
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t firstRow = blockRow + warp * kRowsPerWarp;
  if (firstRow >= p.rows) return;  // the whole warp
  float sum[kRowsPerWarp][kRanks] = {};

  for (int64_t k = lane; k < p.depth; k += kWarp) {
    float x[kRowsPerWarp], factor[kRanks];
#pragma unroll
    for (int r = 0; r < kRowsPerWarp; r++) {
      const int64_t row = firstRow + r;
      x[r] = row < p.rows ? p.x[row * p.depth + k] : 0.0f;
      if (p.mask.active && row < p.rows) x[r] *= maskAt(p.mask, row, k);
    }
#pragma unroll
    for (int i = 0; i < kRanks; i++) {
      const int64_t rank = firstRank + i;
      factor[i] = rank < p.rank ? p.factor[depthContiguous ? rank * p.depth + k : k * p.rank + rank] : 0.0f;
    }
#pragma unroll
    for (int r = 0; r < kRowsPerWarp; r++)
#pragma unroll
      for (int i = 0; i < kRanks; i++) sum[r][i] = fmaf(x[r], factor[i], sum[r][i]);
  }

  // After the tree every lane has every sum; lane r * kRanks + i keeps that of row r and rank i.
  float mine = 0;
#pragma unroll
  for (int r = 0; r < kRowsPerWarp; r++)
#pragma unroll
    for (int i = 0; i < kRanks; i++) {
      float total = sum[r][i];
#pragma unroll
      for (int distance = kWarp / 2; distance > 0; distance /= 2)
        total += __shfl_xor_sync(0xFFFFFFFFu, total, distance);
      if (lane == r * kRanks + i) mine = total;
    }
  const int64_t row = firstRow + lane / kRanks, rank = firstRank + lane % kRanks;
  if (row < p.rows && rank < p.rank) p.out[row * p.rank + rank] = p.scaling * mine;
}

}  // namespace fl::cuda
