// Where u = s x A^T of a layer comes from (v = s dy B the same way), by what reading x once more
// costs against multiplying R more columns in every tile. Tested without a device
// (native/test/hopper_selection_tests.cc).
#pragma once

#include <cstdint>

namespace fl::cuda::hopper {

enum class MakeU : uint8_t {
  /// By the LayerNorm that makes x: no read of x at all.
  layerNorm,
  /// R more columns of every tile: no launch, no memory; R / tile columns more arithmetic.
  extraColumns,
  /// A kernel before: one more read of x.
  shrink,
  /// R more columns of the tiles of column 0, the others wait for a flag. Not the default
  /// (docs/decisions.md).
  flag,
};

/// Ranks are padded with zeros to what one wgmma step takes.
constexpr int paddedRank(int64_t rank) { return static_cast<int>((rank + 15) / 16 * 16); }

struct LayerFacts {
  int64_t rows, cols, rank;
  /// x is the output of a LayerNorm, whose block has whole rows.
  bool afterLayerNorm;
  /// x is still in the L2 cache: it is small, or its producer ran just before.
  bool xInL2;
  /// On x before A: tiles of x are shared with the base product, so they can not be masked.
  bool dropout;
  int tileCols;
};

/// FLOP that the tensor cores do while one byte comes from memory, and while one comes from the L2
/// cache (with the launch of a second kernel counted), modelled and not measured: 790 TFLOP/s over
/// 4.3 TB/s and what that memory-bound kernel reaches from L2.
constexpr int64_t kFlopsPerByte = 184, kFlopsPerL2Byte = 113;
constexpr int64_t kMostExtraRank = 64;

/// Extra columns cost 2 rows depth R (cols / tileCols) FLOP, a shrink kernel 2 rows depth bytes:
/// columns win below R cols / tileCols FLOP a byte.
constexpr MakeU selectMakeU(const LayerFacts& f) {
  if (f.dropout) return MakeU::shrink;
  if (f.afterLayerNorm) return MakeU::layerNorm;
  const int64_t rank = paddedRank(f.rank);
  if (rank > kMostExtraRank) return MakeU::shrink;
  const int64_t flopsPerByte = rank * f.cols / f.tileCols;
  return flopsPerByte < (f.xInL2 ? kFlopsPerL2Byte : kFlopsPerByte) ? MakeU::extraColumns : MakeU::shrink;
}

}  // namespace fl::cuda::hopper
