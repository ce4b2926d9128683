// What tests of tiles share (cuda_selection_tests.cc, cuda_tile_bf16_tests.cc):
// that each tile of a product belongs to one block.
#pragma once

#include <algorithm>
#include <vector>

#include "cuda/gemm/selection.h"

namespace fl::test {

/// Whether the blocks of a product of rows x cols have each of its tiles once.
inline bool eachTileOnce(int64_t rows, int64_t cols, int tileRows, int tileCols) {
  const int64_t down = cuda::ceilDivide(rows, tileRows), across = cuda::ceilDivide(cols, tileCols);
  std::vector<int> blocks(static_cast<size_t>(down * across));
  for (int64_t block = 0; block < down * across; block++) {
    const auto origin = cuda::tileOrigin(block, cols, tileRows, tileCols);
    if (origin.row % tileRows != 0 || origin.col % tileCols != 0 || origin.row >= rows || origin.col >= cols)
      return false;
    blocks[static_cast<size_t>(origin.row / tileRows * across + origin.col / tileCols)]++;
  }
  return std::all_of(blocks.begin(), blocks.end(), [](int n) { return n == 1; });
}

}  // namespace fl::test
