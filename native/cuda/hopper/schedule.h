// Which tile a block takes when: persistent blocks walk a fixed order, so that nothing depends on
// who is faster. Tested without a device (native/test/hopper_selection_tests.cc).
#pragma once

#include <cstdint>

#include "cuda/gemm/selection.h"

namespace fl::cuda::hopper {

/// Rows of tiles in pairs where two blocks form a cluster; columns fastest: the tiles that run at
/// one time read few rows of x, and the weight (at most 8 MB in RoBERTa-large) stays in the L2
/// cache whatever the order.
struct TileWalk {
  int rowTiles, colTiles, cluster;

  constexpr int items() const { return static_cast<int>(ceilDivide(rowTiles, cluster)) * colTiles; }
  struct Place {
    int rowTile, colTile;
  };
  /// Of block `rank` of a cluster. Row tiles beyond the last are computed and not stored.
  constexpr Place place(int item, int rank) const { return {item / colTiles * cluster + rank, item % colTiles}; }
};

/// The order of the flag-synchronised form: the tiles of column 0 make u and set a flag, the other
/// tiles of the same row wait for it before their last slab. Groups of `ahead` rows of tiles: first
/// all that make u, then the others.
///
/// Blocks take positions b, b + grid, ... in order and all are resident. A tile waits only for one
/// of an earlier position, so the earliest unfinished one never waits for long: no deadlock for any
/// grid.
struct FlagWalk {
  int rowTiles, colTiles, ahead;

  struct Place {
    int rowTile, colTile;
    constexpr bool makesU() const { return colTile == 0; }
  };
  constexpr int items() const { return rowTiles * colTiles; }
  constexpr Place place(int item) const {
    const int perGroup = ahead * colTiles, group = item / perGroup, first = group * ahead;
    const int rows = rowTiles - first < ahead ? rowTiles - first : ahead, within = item - group * perGroup;
    if (within < rows) return {first + within, 0};
    const int rest = within - rows;
    return {first + rest / (colTiles - 1), 1 + rest % (colTiles - 1)};
  }
};

/// Sums over tokens for dA and dB: chunks of 512 tokens, added up in order; eight chunks are one
/// cluster's, which adds them through distributed shared memory. Of the shape alone: bits do not
/// depend on the GPU.
struct TokenSplit {
  static constexpr int kChunk = 512, kCluster = 8, kMostClusters = 17;
  int64_t rowsPerBlock;
  int clusters;

  constexpr int64_t begin(int cluster, int rank) const { return (int64_t{cluster} * kCluster + rank) * rowsPerBlock; }
};
constexpr TokenSplit splitTokens(int64_t rows) {
  const int64_t chunks = ceilDivide(rows, TokenSplit::kChunk);
  const int64_t each = ceilDivide(chunks, TokenSplit::kCluster * TokenSplit::kMostClusters);
  const int64_t perBlock = (each < 1 ? 1 : each) * TokenSplit::kChunk;
  const int64_t clusters = ceilDivide(rows, perBlock * TokenSplit::kCluster);
  return {perBlock, static_cast<int>(clusters < 1 ? 1 : clusters)};
}

}  // namespace fl::cuda::hopper
