// Which tile a product uses and how sums over rows are split: functions of the shape alone, never
// of the GPU, so that a GPU model gives the same bits from run to run. Tested without a device
// (native/test/cuda_selection_tests.cc).
//
// The tile decides who computes an element, not how: every tile adds along the depth in order, so
// results do not depend on the choice.
#pragma once

#include <algorithm>
#include <cstdint>

namespace fl::cuda {

constexpr int64_t ceilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

enum class Tile : uint8_t { large, medium, narrow };

/// A block computes rows x cols elements in steps of `depth`; each of its threads threadRows x
/// threadCols of them.
struct TileShape {
  int rows, cols, depth, threadRows, threadCols;

  constexpr int threadsAcross() const { return cols / threadCols; }
  constexpr int threads() const { return rows / threadRows * threadsAcross(); }
};

constexpr TileShape shapeOf(Tile tile) {
  switch (tile) {
    case Tile::large:
      return {128, 128, 16, 8, 8};
    case Tile::medium:
      return {64, 64, 16, 4, 4};
    case Tile::narrow:
      return {64, 16, 32, 4, 2};
  }
  return {};
}

constexpr int64_t tileCount(Tile tile, int64_t rows, int64_t cols) {
  const TileShape shape = shapeOf(tile);
  return ceilDivide(rows, shape.rows) * ceilDivide(cols, shape.cols);
}

/// Tile `block` of a product of `cols` columns, in tiles of `tileRows` x `tileCols`: rows of tiles
/// one after the other. Int: int, or int64_t where sizes have 64 bits.
template <class Int>
struct TileOrigin {
  Int row, col;
};
template <class Int>
constexpr TileOrigin<Int> tileOrigin(Int block, Int cols, int tileRows, int tileCols) {
  const Int across = (cols + tileCols - 1) / tileCols;
  return {block / across * tileRows, block % across * tileCols};
}

/// Large tiles read each operand less often, but have to be enough to occupy a GPU (about a hundred
/// multiprocessors).
constexpr Tile selectTile(int64_t rows, int64_t cols) {
  if (cols <= shapeOf(Tile::narrow).cols) return Tile::narrow;
  return tileCount(Tile::large, rows, cols) >= 128 ? Tile::large : Tile::medium;
}

/// A weight gradient [n, k] with a side this small is a sum over split rows (weight_gradient.h); a
/// larger one is a tile product, whose blocks are many enough without splits.
constexpr bool isThin(int64_t n, int64_t k) { return std::min(n, k) <= 32; }

/// Warps that share a row in ops on whole rows: one keeps up to 1024 features in registers, eight
/// 8192.
constexpr int warpsPerRow(int64_t cols) { return cols <= 1024 ? 1 : 8; }

/// Rows of a batch, cut into `count` pieces of `rows` each (the last may be shorter).
struct RowSplit {
  int64_t rows;
  int count;
};

/// Chunks of 256 rows, larger ones only where there would be more than 32: partial sums are kept
/// for each.
constexpr RowSplit splitRows(int64_t rows) {
  constexpr int64_t chunk = 256, most = 32;
  const int64_t each = std::max<int64_t>(1, ceilDivide(rows, chunk * most)) * chunk;
  return {each, static_cast<int>(ceilDivide(rows, each))};
}

/// A block of a sum over rows for each column (column_sums.cuh): 32 columns of one chunk of 256
/// rows.
struct ColumnBlock {
  static constexpr int kCols = 32, kGroups = 8, kGroupRows = 32;
  static constexpr int kRows = kGroups * kGroupRows, kThreads = kCols * kGroups;
  int64_t chunk, firstCol;
};

constexpr int64_t columnBlockCount(int64_t rows, int64_t cols) {
  return ceilDivide(rows, ColumnBlock::kRows) * ceilDivide(cols, ColumnBlock::kCols);
}

constexpr ColumnBlock columnBlock(int64_t block, int64_t cols) {
  const int64_t across = ceilDivide(cols, ColumnBlock::kCols);
  return {block / across, block % across * ColumnBlock::kCols};
}

/// Gathered rows up to which the gradient of a gather searches the index in each of its rows; more
/// are sorted.
constexpr int kMostScanned = 256;

/// A bitonic network over a power of two of keys: step (size, distance) has each thread order one
/// pair.
struct SortNetwork {
  static constexpr int kKeys = 1024;
  struct Pair {
    int low, high;
    /// The smaller key goes to `low`, else to `high`.
    bool ascending;
  };
  static constexpr Pair pair(int thread, int size, int distance) {
    const int low = thread / distance * 2 * distance + thread % distance;
    return {low, low + distance, (low & size) == 0};
  }
};

/// Tensors that one launch of the optimizer takes: as many as fit into a kernel's parameters (4
/// KiB).
constexpr int kMostTensors = 64;
/// Elements of a tensor that one block takes.
constexpr int64_t kTensorChunk = 4096;

/// Chunk `chunk` of a list of tensors: which tensor, and where in it. firstChunk[t]: chunks of the
/// tensors before t, for t = 0 .. tensors.
struct TensorChunk {
  int tensor;
  int64_t begin;
};
constexpr TensorChunk tensorChunk(const int64_t* firstChunk, int tensors, int64_t chunk) {
  // The last tensor that begins at or before the chunk; empty ones come before it.
  int low = 0, high = tensors - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (firstChunk[middle] <= chunk)
      low = middle;
    else
      high = middle - 1;
  }
  return {low, (chunk - firstChunk[low]) * kTensorChunk};
}

/// Element `e` of a slab that is `span` elements wide and `depth` deep: where neighbours in `e` are
/// neighbours in memory, along the depth or across it.
struct SlabElement {
  int across, k;
};
constexpr SlabElement slabElement(int e, int span, int depth, bool depthContiguous) {
  return depthContiguous ? SlabElement{e / depth, e % depth} : SlabElement{e % span, e / span};
}

/// Element (i, j) of a thread within its tile: rows together (one wide read of shared memory),
/// columns threadsAcross apart (neighbouring threads read and write neighbouring columns).
struct TileElement {
  int row, col;
};
constexpr TileElement tileElement(TileShape shape, int thread, int i, int j) {
  const int across = shape.threadsAcross();
  return {thread / across * shape.threadRows + i, thread % across + j * across};
}

}  // namespace fl::cuda
