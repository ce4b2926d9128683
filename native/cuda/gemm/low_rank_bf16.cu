// Launches u = s x A^T and v = s dy B, of one adapter, of several layers' or of every segment's: a
// block makes 16 rows (low_rank_bf16.cuh); blocks behind them cast. What is computed:
// low_rank_bf16.h.
#include "cuda/gemm/low_rank_bf16.cuh"

#include <algorithm>

#include "cuda/device/launch.h"

namespace fl::cuda {
namespace {

constexpr int64_t rowTilesOf(const LowRankBf16& p) { return ceilDivide(p.rows, LowRankTile::kRows); }

/// Grid: tiles of 16 rows, then blocks that cast; ranks; products. As many as the largest needs.
__global__ void __launch_bounds__(LowRankTile::kThreads) lowRankBf16(const LowRankGroup group) {
  const LowRankBf16& p = group.each[blockIdx.z];
  const auto rowTiles = static_cast<int>(rowTilesOf(p));
  const int firstRank = static_cast<int>(blockIdx.y) * LowRankTile::kRanks;
  if (static_cast<int>(blockIdx.x) >= rowTiles) {
    const int64_t chunk = (blockIdx.x - rowTiles) * int64_t{LowRankTile::kThreads} + threadIdx.x;
    if (blockIdx.y == 0) castChunk(p.casts, chunk);
    return;
  }
  if (firstRank < p.rank) lowRankTile(p, blockIdx.x * int64_t{LowRankTile::kRows}, firstRank);
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
  const int64_t slotChunks = p.segments.slots * p.slotRows * (paddedColsBf16(static_cast<int>(most)) / Cast::kChunk);
  const int64_t chunks = p.slotRows > 0 ? slotChunks : p.whole.casts.chunks();
  const int64_t all = rowTiles + ceilDivide(chunks, LowRankTile::kThreads);
  if (all == 0) return;
  launch(op, segmentedLowRankBf16, dim3(blocks(op, all), blocksDown(op, ceilDivide(most, LowRankTile::kRanks))),
         LowRankTile::kThreads, p, static_cast<int>(rowTiles));
}

void run(const char* op, const LowRankGroup& group) {
  int64_t most = 0, ranks = 0;
  for (int i = 0; i < group.count; i++) {
    const LowRankBf16& p = group.each[i];
    most = std::max(most, rowTilesOf(p) + ceilDivide(p.casts.chunks(), LowRankTile::kThreads));
    ranks = std::max(ranks, ceilDivide(p.rank, LowRankTile::kRanks));
  }
  if (most == 0) return;
  const dim3 grid(blocks(op, most), blocksDown(op, ranks), static_cast<unsigned>(group.count));
  launch(op, lowRankBf16, grid, LowRankTile::kThreads, group);
}

void run(const char* op, const LowRankBf16& p) {
  LowRankGroup group;
  group.count = 1;
  group.each[0] = p;
  run(op, group);
}

}  // namespace fl::cuda
