// A block has 16 rows and up to 32 ranks. Its warps take turns along the depth, 16 steps at a time;
// their sums are added in the order of the warps. Which steps an mma sees in which place is free as
// long as both operands agree: lane t of a row has steps 4t .. 4t + 3, one read of 16 bytes, in the
// places of 2t, 2t + 1, 2t + 8 and 2t + 9. What it computes: low_rank_bf16.h.
#include "cuda/gemm/low_rank_bf16.h"

#include "cuda/ops/rows.cuh"

namespace fl::cuda {
namespace {

constexpr int kFragments = LowRankTile::kRanks / 8;

__device__ inline Quad loadQuad(const float* row, int first, int length, bool whole) {
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
  constexpr int kStride = LowRankTile::kRanks + 1;
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
        x = loadQuad(p.x + row * p.depth, k, p.depth, whole);
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
          b = loadQuad(p.factor + int64_t{rank} * p.depth, k, p.depth, whole);
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

/// Grid: tiles of 16 rows, then blocks that cast; ranks.
__global__ void __launch_bounds__(LowRankTile::kThreads) lowRankBf16(const LowRankBf16 p, int rowTiles) {
  if (static_cast<int>(blockIdx.x) >= rowTiles) {
    const int64_t chunk = (blockIdx.x - rowTiles) * int64_t{LowRankTile::kThreads} + threadIdx.x;
    if (blockIdx.y == 0) castChunk(p.casts, chunk);
    return;
  }
  lowRankTile(p, blockIdx.x * int64_t{LowRankTile::kRows}, static_cast<int>(blockIdx.y) * LowRankTile::kRanks);
}

/// Chunk `chunk` of B of all slots, each slot having as many as the largest rank takes.
__device__ inline void castSlot(const SegmentedLowRankBf16& p, int64_t chunk) {
  const int64_t most = p.segments.mostRank, slotHalves = p.slotRows * paddedColsBf16(static_cast<int>(most));
  const int64_t slot = chunk * Cast::kChunk / slotHalves;
  if (slot >= p.segments.slots) return;
  const int rank = static_cast<int>(rankOf(p.segments, static_cast<int>(slot)));
  const Cast cast{p.slotRows, rank, p.B + slot * p.slotRows * most, p.castB + slot * slotHalves};
  const int64_t own = chunk - slot * (slotHalves / Cast::kChunk);
  if (own < cast.chunks()) castChunk(cast, own);
}

__global__ void __launch_bounds__(LowRankTile::kThreads)
    segmentedLowRankBf16(const SegmentedLowRankBf16 all, int rowTiles) {
  if (static_cast<int>(blockIdx.x) >= rowTiles) {
    const int64_t chunk = (blockIdx.x - rowTiles) * int64_t{LowRankTile::kThreads} + threadIdx.x;
    if (blockIdx.y != 0) return;
    if (all.slotRows > 0)
      castSlot(all, chunk);
    else
      castChunk(all.whole.casts, chunk);
    return;
  }
  const SegmentTile s = segmentTile(all.segments, blockIdx.x, LowRankTile::kRows);
  const int firstRank = static_cast<int>(blockIdx.y) * LowRankTile::kRanks;
  if (!s.found || firstRank >= s.rank) return;
  LowRankBf16 p = all.whole;
  p.rows = s.end - s.first;
  p.rank = static_cast<int>(s.rank);
  p.x += s.first * p.depth;
  if (p.mask.active) p.mask.tokenIndex += s.first;
  p.factor += s.slot * all.segments.mostRank * p.depth;
  p.scaling = s.scaling;
  p.out += s.first * all.segments.mostRank;
  lowRankTile(p, s.row - s.first, firstRank);
}

}  // namespace

void run(const char* op, const SegmentedLowRankBf16& p) {
  const int64_t rowTiles = p.whole.rows == 0 ? 0 : p.segments.mostTiles(LowRankTile::kRows);
  const int64_t most = p.segments.mostRank;
  const int64_t slotChunks =
      p.segments.slots * p.slotRows * (paddedColsBf16(static_cast<int>(most)) / Cast::kChunk);
  const int64_t chunks = p.slotRows > 0 ? slotChunks : p.whole.casts.chunks();
  const int64_t all = rowTiles + ceilDivide(chunks, LowRankTile::kThreads);
  if (all == 0) return;
  launch(op, segmentedLowRankBf16, dim3(blocks(op, all), blocksDown(op, ceilDivide(most, LowRankTile::kRanks))),
         LowRankTile::kThreads, p, static_cast<int>(rowTiles));
}

void run(const char* op, const LowRankBf16& p) {
  const int64_t rowTiles = ceilDivide(p.rows, LowRankTile::kRows);
  const int64_t all = rowTiles + ceilDivide(p.casts.chunks(), LowRankTile::kThreads);
  if (all == 0) return;
  launch(op, lowRankBf16, dim3(blocks(op, all), blocksDown(op, ceilDivide(p.rank, LowRankTile::kRanks))),
         LowRankTile::kThreads, p, static_cast<int>(rowTiles));
}

}  // namespace fl::cuda
