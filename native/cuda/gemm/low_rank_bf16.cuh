// A block has 16 rows and up to 32 ranks. Its warps take turns along the depth, 16 steps at a time;
// their sums are added in the order of the warps. Which steps an mma sees in which place is free as
// long as both operands agree: lane t of a row has steps 4t .. 4t + 3, one read of 16 bytes, in the
// places of 2t, 2t + 1, 2t + 8 and 2t + 9. What it computes: low_rank_bf16.h.
// The kernels around it: low_rank_bf16.cu, cuda/ops/norm_low_rank.cu.
#pragma once

#include "cuda/gemm/low_rank_bf16.h"
#include "cuda/ops/rows.cuh"

namespace fl::cuda {

__device__ inline Quad lowRankQuad(const float* row, int first, int length, bool whole) {
  Quad q{};
  if (whole) {
    if (first < length) {
      const float4 all = *reinterpret_cast<const float4*>(row + first);
      q = {{all.x, all.y, all.z, all.w}};
    }
  } else {
#pragma unroll
    for (int j = 0; j < 4; j++)
      if (first + j < length) q.v[j] = row[first + j];
  }
  return q;
}

/// A block's 16 rows and 32 ranks.
__device__ inline void lowRankTile(const LowRankBf16& p, int64_t firstRow, int firstRank) {
  constexpr int kStride = LowRankTile::kRanks + 1, kFragments = LowRankTile::kRanks / 8;
  __shared__ float partial[LowRankTile::kWarps][LowRankTile::kRows * kStride];
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32, g = lane / 4, t = lane % 4;
  const bool whole = p.depth % 4 == 0;
  float sum[kFragments][4] = {};

#pragma unroll 2
  for (int k0 = 16 * warp; k0 < p.depth; k0 += 16 * LowRankTile::kWarps) {
    const int k = k0 + 4 * t;
    uint32_t a[4];
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int64_t row = firstRow + g + 8 * half;
      Quad x{};
      if (row < p.rows) {
        x = lowRankQuad(p.x + row * p.depth, k, p.depth, whole);
        if (p.mask.active) maskQuad(p.mask, row, k, x);
      }
      a[half] = packBf16(x.v[0], x.v[1]);
      a[2 + half] = packBf16(x.v[2], x.v[3]);
    }
#pragma unroll
    for (int f = 0; f < kFragments; f++) {
      if (firstRank + 8 * f >= p.rank) break;  // the same for the whole warp
      const int rank = firstRank + 8 * f + g;
      Quad b{};
      if (rank < p.rank) {
        if (p.depthContiguous) {
          b = lowRankQuad(p.factor + int64_t{rank} * p.depth, k, p.depth, whole);
        } else {
#pragma unroll
          for (int j = 0; j < 4; j++)
            if (k + j < p.depth) b.v[j] = p.factor[int64_t{k + j} * p.rank + rank];
        }
      }
      multiplyAdd(sum[f], a, packBf16(b.v[0], b.v[1]), packBf16(b.v[2], b.v[3]));
    }
  }

#pragma unroll
  for (int f = 0; f < kFragments; f++)
#pragma unroll
    for (int e = 0; e < 4; e++) partial[warp][(g + e / 2 * 8) * kStride + 8 * f + 2 * t + e % 2] = sum[f][e];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < LowRankTile::kRows * LowRankTile::kRanks / LowRankTile::kThreads; i++) {
    const int e = thread + i * LowRankTile::kThreads, row = e / LowRankTile::kRanks, rank = e % LowRankTile::kRanks;
    float total = 0;
#pragma unroll
    for (int w = 0; w < LowRankTile::kWarps; w++) total += partial[w][row * kStride + rank];
    if (firstRow + row >= p.rows) continue;
    const float value = firstRank + rank < p.rank ? p.scaling * total : 0.0f;
    if (firstRank + rank < p.rank) p.out[(firstRow + row) * p.rank + firstRank + rank] = value;
    const int padded = paddedColsBf16(p.rank);
    if (p.rounded && firstRank + rank < padded)
      p.rounded[(firstRow + row) * padded + firstRank + rank] = static_cast<uint16_t>(packBf16(value, 0.0f));
  }
}

}  // namespace fl::cuda
