// How attention kernels cut up their work: functions of the shape alone, tested without a device
// (native/test/cuda_attention_tests.cc).
//
// A tile holds `kWarps * rowsPerWarp` rows of one side for one head (queries in the forward pass
// and for dq, keys for dk and dv) and walks over the other side, 32 columns at once, one a lane.
// Tiles do not stop at the ends of sequences: with short sentences one tile has several, and each
// row takes part where its own sequence is. So the grid depends on the number of rows alone, and no
// row of a batch of short sentences is padded.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/gemm/selection.h"

namespace fl::cuda {

struct AttentionTile {
  static constexpr int kWarps = 4, kThreads = 32 * kWarps, kColumns = 32;
  /// Head dimensions are padded to 32, 64 or 128 with zeros: `slots` of them a lane.
  static constexpr int kMostHeadDim = 128;

  int slots, rowsPerWarp;

  constexpr int headDim() const { return 32 * slots; }
  constexpr int rows() const { return kWarps * rowsPerWarp; }
  /// Floats from a row to the next in shared memory: 4 more than the row, so that 8 lanes that read
  /// 16 bytes of 8 rows find them in different banks.
  constexpr int stride() const { return headDim() + 4; }
  /// Two arrays of columns, two of rows and `weights` arrays of row x column.
  constexpr size_t sharedBytes(int rowArrays, int weights) const {
    return sizeof(float) *
           static_cast<size_t>((2 * kColumns + rowArrays * rows()) * stride() + weights * rows() * kColumns);
  }
};

/// Lanes of four features each that a head takes: 1, 2 or 4.
constexpr int attentionSlots(int64_t headDim) { return headDim <= 32 ? 1 : headDim <= 64 ? 2 : 4; }

/// Rows that a warp has. Asked for single tokens (a classifier's last layer), neighbouring queries
/// are of different sequences: few rows a tile then keep it from walking over many of them.
constexpr int attentionRowsPerWarp(bool someTokens) { return someTokens ? 2 : 8; }

/// Which Philox calls give the dropout bits of `rows` rows x 32 columns. A call gives four
/// neighbouring features beginning at a multiple of four, and a row's features begin where its
/// sequence does, `shift` features after the start of its first quad: nine quads may be touched.
/// Round `row / 4` has quads 0..7 of four rows, one a lane; the last round the ninth quads.
struct AttentionQuads {
  static constexpr int kQuads = 8;
  struct Source {
    /// The lane that has the bit, in the round of the row or in the last one.
    int lane, bit;
    bool last;
  };
  static constexpr int rowOf(int round, int lane) { return 4 * round + lane / kQuads; }
  static constexpr int quadOf(int lane) { return lane % kQuads; }
  static constexpr Source source(int row, int column, int shift) {
    const int quad = (column + shift) >> 2;
    return {quad < kQuads ? row % 4 * kQuads + quad : row, (column + shift) & 3, quad == kQuads};
  }
};

}  // namespace fl::cuda
