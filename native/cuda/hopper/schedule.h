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

}  // namespace fl::cuda::hopper
