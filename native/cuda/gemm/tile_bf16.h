// Tiles of the bf16 tensor-core products and where their operands lie in shared memory: functions
// of the shape alone, tested exhaustively without a device (native/test/cuda_tile_bf16_tests.cc).
//
// A stage of the pipeline holds 32 steps of the depth of both operands: a as it is in memory (fp32,
// rounded when it goes to registers), b as bf16, or for weight gradients fp32 like a. Places are
// counted in chunks of 16 bytes, what one cp.async brings; a chunk's place within its line of 128
// bytes (all 32 banks) is exchanged with others by an exclusive or, so that no access of a warp
// meets a bank twice.
#pragma once

#include <cstddef>

#include "cuda/gemm/selection.h"

namespace fl::cuda {

struct TileBf16 {
  static constexpr int kDepth = 32;
  /// Depth of one mma instruction.
  static constexpr int kStep = 16;

  int rows, cols, warpsDown, warpsAcross, stages, blocksPerMultiprocessor;

  constexpr int threads() const { return 32 * warpsDown * warpsAcross; }
  constexpr int warpRows() const { return rows / warpsDown; }
  constexpr int warpCols() const { return cols / warpsAcross; }
  /// Of 16 x 16 values of a and 16 x 8 of b.
  constexpr int rowFragments() const { return warpRows() / 16; }
  constexpr int colFragments() const { return warpCols() / 8; }

  /// Where the warp of a thread begins within the tile.
  constexpr int warpRow(int thread) const { return thread / 32 / warpsAcross * warpRows(); }
  constexpr int warpCol(int thread) const { return thread / 32 % warpsAcross * warpCols(); }

  constexpr int chunksOfA() const { return rows * kDepth / 4; }
  constexpr int chunksOfB(bool wide) const { return cols * kDepth / (wide ? 4 : 8); }
  constexpr int stageBytes(bool wide) const { return 16 * (chunksOfA() + chunksOfB(wide)); }
  /// Floats from row to row where results pass through shared memory: 8 banks on, so that the eight
  /// bytes of a quarter of the rows of a fragment meet different banks.
  constexpr int resultStride() const { return cols + 8; }
  constexpr size_t sharedBytes(bool wide) const {
    return static_cast<size_t>(
        std::max(stages * stageBytes(wide), rows * resultStride() * static_cast<int>(sizeof(float))));
  }
};

enum class TileSize : uint8_t { large, small };

constexpr TileBf16 tileBf16(TileSize size) {
  return size == TileSize::large ? TileBf16{128, 128, 4, 2, 3, 2} : TileBf16{64, 64, 2, 2, 4, 2};
}

/// Results do not depend on it: every tile adds along the depth in the same steps.
constexpr TileSize selectTileBf16(int64_t rows, int64_t cols) {
  const TileBf16 large = tileBf16(TileSize::large);
  return ceilDivide(rows, large.rows) * ceilDivide(cols, large.cols) >= 128 ? TileSize::large : TileSize::small;
}

/// Chunk `chunk` (of 8) of a row of 32 floats.
constexpr int placeInFloatRow(int row, int chunk) { return row * 8 + (chunk ^ (row & 3) * 2); }
/// Chunk `chunk` (of width / 4) of step k, `width` floats.
constexpr int placeInFloatStep(int k, int chunk, int width) { return k * (width / 4) + (chunk ^ (k & 6)); }
/// Chunk `chunk` (of 4) of a row of 32 bf16: two rows a line.
constexpr int placeInHalfRow(int row, int chunk) { return row / 2 * 8 + (((row & 1) * 4 + chunk) ^ (row / 2 & 3)); }
/// Chunk `chunk` (of width / 8) of step k, `width` bf16.
constexpr int placeInHalfStep(int k, int chunk, int width) { return k * (width / 8) + (chunk ^ (k & 7)); }

/// The slabs of 32 steps that a product walks over: those of its first part, then those of its
/// second.
struct SlabPlan {
  int firstDepth, secondDepth;

  constexpr int firstSlabs() const { return (firstDepth + TileBf16::kDepth - 1) / TileBf16::kDepth; }
  constexpr int count() const { return firstSlabs() + (secondDepth + TileBf16::kDepth - 1) / TileBf16::kDepth; }
  constexpr bool inFirst(int slab) const { return slab < firstSlabs(); }
  constexpr int part(int slab) const { return inFirst(slab) ? 0 : 1; }
  /// Where slab `slab` begins in its part.
  constexpr int begin(int slab) const { return (inFirst(slab) ? slab : slab - firstSlabs()) * TileBf16::kDepth; }
  /// mma steps that are not all beyond the depth: an adapter of rank 16 costs one.
  constexpr int steps(int slab) const {
    const int left = (inFirst(slab) ? firstDepth : secondDepth) - begin(slab);
    return left > TileBf16::kStep ? 2 : 1;
  }
};

/// The same of any number of parts, one after the other.
template <int parts>
struct SlabList {
  int depth[parts];

  static constexpr int slabsOf(int depth) { return (depth + TileBf16::kDepth - 1) / TileBf16::kDepth; }
  constexpr int count() const {
    int sum = 0;
    for (int i = 0; i < parts; i++) sum += slabsOf(depth[i]);
    return sum;
  }
  /// Of a slab: its part, where it begins there, and mma steps that are not all beyond the depth.
  struct Place {
    int part, begin, steps;
  };
  constexpr Place place(int slab) const {
    Place found{0, 0, 2};
    bool done = false;
    for (int i = 0; i < parts; i++) {
      const int slabs = slabsOf(depth[i]), begin = slab * TileBf16::kDepth;
      if (!done && slab < slabs) {
        found = {i, begin, depth[i] - begin > TileBf16::kStep ? 2 : 1};
        done = true;
      }
      slab -= slabs;
    }
    return found;
  }
  constexpr int part(int slab) const { return place(slab).part; }
  constexpr int begin(int slab) const { return place(slab).begin; }
  constexpr int steps(int slab) const { return place(slab).steps; }
};

/// Chunks of 16 bytes of a bf16 matrix's rows as copied: whole chunks, padded with zeros.
constexpr int paddedColsBf16(int cols) { return (cols + 7) / 8 * 8; }

/// u = s x A^T and v = s dy B: a block has 16 rows and up to 32 ranks, its warps share the depth
/// step by step.
struct LowRankTile {
  static constexpr int kWarps = 8, kThreads = 32 * kWarps, kRows = 16, kRanks = 32;
};

/// Sums over rows for dA, dB: a block has up to 32 ranks, 32 columns and one piece of the rows,
/// which its warps share step by step.
struct WeightGradientTile {
  static constexpr int kWarps = 4, kThreads = 32 * kWarps, kRanks = 32, kCols = 32;
};

}  // namespace fl::cuda
