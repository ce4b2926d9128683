// Where u = s x A^T of a layer comes from on compute capability 9.0, by what reading x once more
// costs against multiplying R more columns in every tile. Tested without a device
// (native/test/hopper_selection_tests.cc).
#pragma once

#include <cstdint>

#include "cuda/hopper/tile.h"

namespace fl::cuda::hopper {

enum class MakeU : uint8_t {
  /// R more columns of every tile: no launch, no memory; R / tile columns more arithmetic.
  extraColumns,
  /// A kernel before: one more read of x.
  shrink,
};

/// FLOP that the tensor cores do while one byte comes from memory, modelled and not measured: 790
/// TFLOP/s over 4.3 TB/s.
constexpr int64_t kFlopsPerByte = 184;
constexpr int kMostExtraRank = 64;

/// Extra columns cost 2 rows depth R (cols / tile columns) FLOP, a shrink kernel 2 rows depth
/// bytes: columns win below R cols / tile columns FLOP a byte. Of the layer alone, not of the
/// batch: u has the same bits in batches of all sizes.
/// @param dropout on x before A: tiles of x are shared with the base product, so they can not be
///   masked.
constexpr MakeU selectMakeU(int64_t cols, int64_t rank, bool dropout) {
  if (dropout || paddedRank(rank) > kMostExtraRank) return MakeU::shrink;
  const int64_t flopsPerByte = paddedRank(rank) * cols / tileOf(TileName::broad).cols;
  return flopsPerByte < kFlopsPerByte ? MakeU::extraColumns : MakeU::shrink;
}

}  // namespace fl::cuda::hopper
