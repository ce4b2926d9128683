// How CUDA kernels cut up their work (cuda/gemm/selection.h), checked exhaustively without a
// device: every element is somebody's and nobody else's, and nothing depends on the GPU.
#include "cuda/gemm/selection.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "test/cuda_tiles.h"
#include "test/tests.h"

namespace fl::test {
namespace {

using namespace fl::cuda;

const Tile kTiles[] = {Tile::large, Tile::medium, Tile::narrow};

bool allOnce(const std::vector<int>& counts) {
  return std::all_of(counts.begin(), counts.end(), [](int n) { return n == 1; });
}

/// The threads of a block own each element of its tile once, and the columns of a warp's threads
/// are neighbours.
void tileElements() {
  for (const Tile tile : kTiles) {
    const TileShape shape = shapeOf(tile);
    check(shape.threads() % 32 == 0 && shape.threads() <= 1024, "whole warps, at most 1024 threads");
    std::vector<int> owners(static_cast<size_t>(shape.rows * shape.cols));
    for (int thread = 0; thread < shape.threads(); thread++)
      for (int i = 0; i < shape.threadRows; i++)
        for (int j = 0; j < shape.threadCols; j++) {
          const TileElement e = tileElement(shape, thread, i, j);
          check(e.row >= 0 && e.row < shape.rows && e.col >= 0 && e.col < shape.cols, "an element outside of its tile");
          owners[static_cast<size_t>(e.row * shape.cols + e.col)]++;
          if (thread % shape.threadsAcross() != 0)
            check(e.col == tileElement(shape, thread - 1, i, j).col + 1, "neighbouring threads, neighbouring columns");
        }
    check(allOnce(owners), "each element of a tile is one thread's");
  }
}

/// Both ways to load a slab cover it once, and threads that follow each other read memory in order.
void slabElements() {
  for (const Tile tile : kTiles) {
    const TileShape shape = shapeOf(tile);
    for (const int span : {shape.rows, shape.cols})
      for (const bool depthContiguous : {false, true}) {
        std::vector<int> loads(static_cast<size_t>(span * shape.depth));
        for (int e = 0; e < span * shape.depth; e++) {
          const SlabElement s = slabElement(e, span, shape.depth, depthContiguous);
          loads[static_cast<size_t>(s.across * shape.depth + s.k)]++;
          const int minor = depthContiguous ? s.k : s.across;
          const int width = depthContiguous ? shape.depth : span;
          check(minor == e % width, "elements that follow each other are neighbours in memory");
        }
        check(allOnce(loads), "each element of a slab is loaded once");
      }
  }
}

void tilesCoverProducts() {
  for (int64_t rows = 1; rows <= 300; rows++)
    for (const int64_t cols : {1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 768, 2304}) {
      const Tile tile = selectTile(rows, cols);
      const TileShape shape = shapeOf(tile);
      const int64_t across = ceilDivide(cols, shape.cols), count = tileCount(tile, rows, cols);
      check(count % across == 0 && across * shape.cols >= cols && count / across * shape.rows >= rows &&
                (count / across - 1) * shape.rows < rows && (across - 1) * shape.cols < cols,
            "tiles cover a product, none lies outside");
      check(eachTileOnce(rows, cols, shape.rows, shape.cols), "each tile is one block's");
    }
  check(selectTile(1, 2) == Tile::narrow && selectTile(32, 768) == Tile::medium && selectTile(8192, 768) == Tile::large,
        "few rows get small tiles, many rows large ones");
}

void rowSplits() {
  for (int64_t rows = 1; rows <= 70000; rows++) {
    const RowSplit split = splitRows(rows);
    check(split.rows % 256 == 0 && split.count >= 1 && split.count <= 32, "whole chunks, at most 32 pieces");
    check(split.rows * split.count >= rows && split.rows * (split.count - 1) < rows, "pieces cover the rows");
  }
  const RowSplit huge = splitRows(int64_t{1} << 40);
  check(huge.count == 32 && huge.rows * 32 >= int64_t{1} << 40, "pieces of very many rows");
}

void columnBlocks() {
  for (const int64_t rows : {1, 31, 32, 255, 256, 257, 1000})
    for (const int64_t cols : {1, 31, 32, 33, 100}) {
      std::vector<int> sums(static_cast<size_t>(rows * cols));
      for (int64_t b = 0; b < columnBlockCount(rows, cols); b++) {
        const ColumnBlock block = columnBlock(b, cols);
        for (int64_t r = block.chunk * ColumnBlock::kRows; r < std::min(rows, (block.chunk + 1) * ColumnBlock::kRows);
             r++)
          for (int64_t c = block.firstCol; c < std::min(cols, block.firstCol + ColumnBlock::kCols); c++)
            sums[static_cast<size_t>(r * cols + c)]++;
      }
      check(allOnce(sums), "each element is one block's");
    }
  // Beyond 32 bits.
  const int64_t rows = int64_t{1} << 36, cols = 3072, last = columnBlockCount(rows, cols) - 1;
  const ColumnBlock block = columnBlock(last, cols);
  check(block.firstCol == 3072 - 32 && (block.chunk + 1) * ColumnBlock::kRows == rows, "the last of very many blocks");
}

/// Every step of the network has each key in one pair, and all steps together sort.
void sortNetwork() {
  constexpr int n = SortNetwork::kKeys;
  for (int trial = 0; trial < 40; trial++) {
    std::vector<int> keys(n);
    // Zeros and ones show every mistake of a network (0-1 principle); then orders that are not
    // random.
    for (int i = 0; i < n; i++) keys[static_cast<size_t>(i)] = trial < 30 ? (i * 7919 + trial) % 97 < trial * 3 : n - i;
    for (int size = 2; size <= n; size *= 2)
      for (int distance = size / 2; distance > 0; distance /= 2) {
        std::vector<int> touched(n);
        for (int thread = 0; thread < n / 2; thread++) {
          const SortNetwork::Pair pair = SortNetwork::pair(thread, size, distance);
          touched[static_cast<size_t>(pair.low)]++;
          touched[static_cast<size_t>(pair.high)]++;
          int &low = keys[static_cast<size_t>(pair.low)], &high = keys[static_cast<size_t>(pair.high)];
          if ((low > high) == pair.ascending) std::swap(low, high);
        }
        check(allOnce(touched), "each key is in one pair of a step");
      }
    check(std::is_sorted(keys.begin(), keys.end()), "the network sorts");
  }
}

void tensorChunks() {
  const std::vector<std::vector<int64_t>> lists = {
      {1}, {kTensorChunk}, {kTensorChunk + 1, 1, 3 * kTensorChunk}, {5, 5, 5, 2 * kTensorChunk, 1}};
  for (const std::vector<int64_t>& elements : lists) {
    std::vector<int64_t> first = {0};
    for (const int64_t n : elements) first.push_back(first.back() + ceilDivide(n, kTensorChunk));
    int64_t expected = 0;
    size_t tensor = 0;
    for (int64_t chunk = 0; chunk < first.back(); chunk++) {
      const TensorChunk found = tensorChunk(first.data(), static_cast<int>(elements.size()), chunk);
      if (expected >= elements[tensor]) {
        expected = 0;
        tensor++;
      }
      check(found.tensor == static_cast<int>(tensor) && found.begin == expected, "chunks follow each other");
      expected += kTensorChunk;
    }
    check(tensor == elements.size() - 1 && expected >= elements.back(), "chunks cover all tensors");
  }
}

}  // namespace

void addCudaSelectionTests(Suite& suite) {
  suite.add("cudaSelection/tileElements", tileElements);
  suite.add("cudaSelection/slabElements", slabElements);
  suite.add("cudaSelection/tilesCoverProducts", tilesCoverProducts);
  suite.add("cudaSelection/rowSplits", rowSplits);
  suite.add("cudaSelection/columnBlocks", columnBlocks);
  suite.add("cudaSelection/sortNetwork", sortNetwork);
  suite.add("cudaSelection/tensorChunks", tensorChunks);
}

}  // namespace fl::test
