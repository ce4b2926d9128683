// A piece of the sum over rows of weight_gradient.h on tensor cores, as a block makes it: p and
// mask * q rounded to bf16. The kernels around it: weight_gradient_bf16.cu,
// segmented_weight_gradient.cu.
//
// A block has up to 32 ranks, 32 columns and one piece of the rows, 16 at a time for each of its
// warps in turn; their sums are added in the order of the warps. The rows that an mma sees and the
// columns of its four fragments are exchanged so that a lane reads 16 bytes of q at once: row 4t +
// i of 16 is in the place of 2t, 2t + 1, 2t + 8 or 2t + 9, column 4g + f of 32 is column g of
// fragment f.
#pragma once

#include "cuda/gemm/tile_bf16.h"
#include "cuda/gemm/weight_gradient.h"
#include "cuda/ops/rows.cuh"
#include "cuda/ptx/tensor_core.cuh"

namespace fl::cuda {

struct WeightGradientBlockBf16 {
  static constexpr int kStride = WeightGradientTile::kCols + 1;
  static constexpr int kSharedFloats = WeightGradientTile::kWarps * WeightGradientTile::kRanks * kStride;
  /// Sums of a thread.
  static constexpr int kEach = WeightGradientTile::kRanks * WeightGradientTile::kCols / WeightGradientTile::kThreads;
  static constexpr int kRankFragments = WeightGradientTile::kRanks / 16, kColFragments = WeightGradientTile::kCols / 8;
};

/// Four neighbouring columns; `first` is a multiple of 4.
__device__ inline Quad columnsOf(const WeightGradient& o, int64_t row, int64_t end, int64_t first) {
  Quad q{};
  if (row >= end || first >= o.cols) return q;
  const float* const from = o.q + row * o.cols + first;
  if (o.cols % 4 == 0) {
    const float4 all = *reinterpret_cast<const float4*>(from);
    q = {{all.x, all.y, all.z, all.w}};
  } else {
#pragma unroll
    for (int j = 0; j < 4; j++)
      if (first + j < o.cols) q.v[j] = from[j];
  }
  if (o.mask.active) maskQuad(o.mask, row, first, q);
  return q;
}

/// take(n, i, c, sum) for 32 columns c from firstCol on and 32 ranks i from firstRank on, over rows
/// [begin, end): the sums of a thread have numbers n. `shared`: kSharedFloats.
template <class Take>
__device__ inline void sumPieceBf16(const WeightGradient& o, int64_t firstCol, int64_t firstRank, int64_t begin,
                                    int64_t end, float* shared, const Take& take) {
  constexpr int kStride = WeightGradientBlockBf16::kStride, kOfWarp = WeightGradientTile::kRanks * kStride;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32, g = lane / 4, t = lane % 4;
  float sum[WeightGradientBlockBf16::kRankFragments][WeightGradientBlockBf16::kColFragments][4] = {};

#pragma unroll 1
  for (int64_t row0 = begin + 16 * warp; row0 < end; row0 += 16 * WeightGradientTile::kWarps) {
    const int64_t row = row0 + 4 * t;
    Quad q[4];
#pragma unroll
    for (int i = 0; i < 4; i++) q[i] = columnsOf(o, row + i, end, firstCol + 4 * g);
#pragma unroll
    for (int m = 0; m < WeightGradientBlockBf16::kRankFragments; m++) {
      if (firstRank + 16 * m >= o.rank) break;  // the same for the whole warp
      float p[2][4];
#pragma unroll
      for (int half = 0; half < 2; half++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const int64_t rank = firstRank + 16 * m + 8 * half + g;
          p[half][i] = row + i < end && rank < o.rank ? o.p[(row + i) * o.rank + rank] : 0.0f;
        }
      const uint32_t a[4] = {packBf16(p[0][0], p[0][1]), packBf16(p[1][0], p[1][1]), packBf16(p[0][2], p[0][3]),
                             packBf16(p[1][2], p[1][3])};
#pragma unroll
      for (int f = 0; f < WeightGradientBlockBf16::kColFragments; f++)
        multiplyAdd(sum[m][f], a, packBf16(q[0].v[f], q[1].v[f]), packBf16(q[2].v[f], q[3].v[f]));
    }
  }

#pragma unroll
  for (int m = 0; m < WeightGradientBlockBf16::kRankFragments; m++)
#pragma unroll
    for (int f = 0; f < WeightGradientBlockBf16::kColFragments; f++)
#pragma unroll
      for (int e = 0; e < 4; e++)
        shared[warp * kOfWarp + (16 * m + g + e / 2 * 8) * kStride + 4 * (2 * t + e % 2) + f] = sum[m][f][e];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < WeightGradientBlockBf16::kEach; i++) {
    const int e = thread + i * WeightGradientTile::kThreads, rank = e / WeightGradientTile::kCols,
              col = e % WeightGradientTile::kCols;
    float total = 0;
#pragma unroll
    for (int w = 0; w < WeightGradientTile::kWarps; w++) total += shared[w * kOfWarp + rank * kStride + col];
    if (firstRank + rank < o.rank && firstCol + col < o.cols) take(i, firstRank + rank, firstCol + col, total);
  }
}

/// The same to partial[i * o.cols + c].
__device__ inline void storePieceBf16(const WeightGradient& o, int64_t firstCol, int64_t firstRank, int64_t begin,
                                      int64_t end, float* partial) {
  __shared__ float shared[WeightGradientBlockBf16::kSharedFloats];
  sumPieceBf16(o, firstCol, firstRank, begin, end, shared,
               [&](int, int64_t rank, int64_t col, float sum) { partial[rank * o.cols + col] = sum; });
}

/// All pieces of the rows and their sum, added to out: in the order in which addPartials adds them.
__device__ inline void addPiecesBf16(const WeightGradient& o, int64_t firstCol, int64_t firstRank, float* shared) {
  const RowSplit split = splitRows(o.rows);
  float sum[WeightGradientBlockBf16::kEach] = {};
#pragma unroll 1
  for (int piece = 0; piece < split.count; piece++) {
    const int64_t begin = piece * split.rows, end = begin + split.rows < o.rows ? begin + split.rows : o.rows;
    __syncthreads();  // the piece before has been read by all threads
    sumPieceBf16(o, firstCol, firstRank, begin, end, shared,
                 [&](int n, int64_t, int64_t, float total) { sum[n] += total; });
  }
#pragma unroll
  for (int n = 0; n < WeightGradientBlockBf16::kEach; n++) {
    const int e = static_cast<int>(threadIdx.x) + n * WeightGradientTile::kThreads;
    const int64_t rank = firstRank + e / WeightGradientTile::kCols, col = firstCol + e % WeightGradientTile::kCols;
    if (rank < o.rank && col < o.cols) o.out[o.transposed ? col * o.rank + rank : rank * o.cols + col] += sum[n];
  }
}

}  // namespace fl::cuda
