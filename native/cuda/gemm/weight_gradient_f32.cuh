// A piece of the sum over rows of weight_gradient.h in fp32, as a block makes it. The kernels
// around it: weight_gradient.cu, and for rows in segments segmented_weight_gradient.cu.
#pragma once

#include "cuda/gemm/weight_gradient.h"

namespace fl::cuda {

struct WeightGradientBlockF32 {
  static constexpr int kThreads = 128, kRanks = 8, kRowsAtOnce = 32;
};

/// partial[i * o.cols + c] = sum over rows [begin, end), in order, of p[row, i] mask(row, c) q[row,
/// c], for kThreads columns c from firstCol on and kRanks ranks i from firstRank on. A thread has
/// one column and a handful of ranks: q is read once for all of them, neighbouring threads read
/// neighbouring columns, and p comes through shared memory.
__device__ inline void sumPiece(const WeightGradient& o, int64_t firstCol, int64_t firstRank, int64_t begin,
                                int64_t end, float* partial) {
  constexpr int kThreads = WeightGradientBlockF32::kThreads, kRanks = WeightGradientBlockF32::kRanks;
  constexpr int kRowsAtOnce = WeightGradientBlockF32::kRowsAtOnce;
  __shared__ float sharedP[kRowsAtOnce][kRanks];
  const int64_t col = firstCol + threadIdx.x;
  float sum[kRanks] = {};

  for (int64_t row0 = begin; row0 < end; row0 += kRowsAtOnce) {
    __syncthreads();  // the rows before have been read by all threads
    for (int e = static_cast<int>(threadIdx.x); e < kRowsAtOnce * kRanks; e += kThreads) {
      const int64_t row = row0 + e / kRanks, rank = firstRank + e % kRanks;
      sharedP[e / kRanks][e % kRanks] = row < end && rank < o.rank ? o.p[row * o.rank + rank] : 0.0f;
    }
    __syncthreads();
    if (col >= o.cols) continue;
    const int count = static_cast<int>(end - row0 < kRowsAtOnce ? end - row0 : kRowsAtOnce);
#pragma unroll 4
    for (int r = 0; r < count; r++) {
      float q = o.q[(row0 + r) * o.cols + col];
      if (o.mask.active) q *= maskAt(o.mask, row0 + r, col);
#pragma unroll
      for (int i = 0; i < kRanks; i++) sum[i] = fmaf(sharedP[r][i], q, sum[i]);
    }
  }
  if (col >= o.cols) return;
#pragma unroll
  for (int i = 0; i < kRanks; i++)
    if (firstRank + i < o.rank) partial[(firstRank + i) * o.cols + col] = sum[i];
}

}  // namespace fl::cuda
