// A block normalises 16 rows, two a warp, and then makes u of them for every adapter; blocks behind
// those cast. Rows are layer_norm.cuh's, u is low_rank_bf16.cuh's. Why together: norm_low_rank.h.
#include "cuda/ops/norm_low_rank.h"

#include <algorithm>

#include "cuda/gemm/low_rank_bf16.cuh"
#include "cuda/ops/layer_norm.cuh"

namespace fl::cuda {
namespace {

/// Grid: tiles of 16 rows, then blocks that cast.
template <bool whole>
__global__ void __launch_bounds__(LowRankTile::kThreads)
    normLowRank(const Norm n, const LowRankGroup group, int rowTiles) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  if (static_cast<int>(blockIdx.x) >= rowTiles) {
    const int64_t chunk = (blockIdx.x - rowTiles) * int64_t{LowRankTile::kThreads} + threadIdx.x;
#pragma unroll 1
    for (int i = 0; i < group.count; i++) castChunk(group.each[i].casts, chunk);
    return;
  }
  const int64_t first = blockIdx.x * int64_t{LowRankTile::kRows};
#pragma unroll 1
  for (int64_t row = first + warp; row < first + LowRankTile::kRows && row < n.rows; row += LowRankTile::kWarps)
    NormRow<RowTeam<1, whole>>::run(n, row);
#pragma unroll 1
  for (int i = 0; i < group.count; i++)
#pragma unroll 1
    for (int rank = 0; rank < group.each[i].rank; rank += LowRankTile::kRanks) {
      __syncthreads();  // y is there for all, and the sums before have been read
      lowRankTile(group.each[i], first, rank);
    }
}

}  // namespace

void runNormLowRank(const AddLayerNormOp& op, const LowRankGroup& group) {
  const char* const name = "addLayerNorm";
  const Norm n = normOf(op);
  if (n.rows == 0) return;
  const int64_t rowTiles = ceilDivide(n.rows, LowRankTile::kRows);
  int64_t chunks = 0;
  for (int i = 0; i < group.count; i++) chunks = std::max(chunks, group.each[i].casts.chunks());
  const dim3 grid(blocks(name, rowTiles + ceilDivide(chunks, LowRankTile::kThreads)));
  const auto launchAll = [&](auto kernel) {
    launch(name, kernel, grid, LowRankTile::kThreads, n, group, static_cast<int>(rowTiles));
  };
  if (n.cols % 4 == 0)
    launchAll(normLowRank<true>);
  else
    launchAll(normLowRank<false>);
}

}  // namespace fl::cuda
