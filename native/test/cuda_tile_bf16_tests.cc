// The tiles of the bf16 products (cuda/gemm/tile_bf16.h), checked exhaustively without a device:
// places in shared memory are exchanged without loss, no access meets a bank twice, slabs and their
// steps cover the depth.
#include "cuda/gemm/tile_bf16.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "test/cuda_tiles.h"
#include "test/tests.h"

namespace fl::test {
namespace {

using namespace fl::cuda;

const TileSize kSizes[] = {TileSize::large, TileSize::small};

void shapes() {
  for (const TileSize size : kSizes) {
    const TileBf16 tile = tileBf16(size);
    check(tile.threads() % 32 == 0 && tile.threads() <= 1024, "whole warps");
    check(tile.rowFragments() * 16 * tile.warpsDown == tile.rows, "fragments cover the rows");
    check(tile.colFragments() * 8 * tile.warpsAcross == tile.cols, "fragments cover the columns");
    check(tile.colFragments() % 2 == 0, "two fragments of b are read at once");
    check(tile.stages >= 2, "one slab is multiplied while another comes");
    for (const bool wide : {false, true}) {
      if (wide && size == TileSize::large) continue;  // weight gradients have small tiles alone
      check(tile.chunksOfA() % tile.threads() == 0 && tile.chunksOfB(wide) % tile.threads() == 0,
            "every thread copies equally much");
      check(tile.sharedBytes(wide) <= (size_t{99} << 10), "fits an sm_86");
      check(2 * (tile.sharedBytes(wide) + 1024) <= (size_t{164} << 10), "two blocks fit an sm_80");
      check(tile.rows * tile.resultStride() * 4 <= static_cast<int>(tile.sharedBytes(wide)), "the results fit");
    }
  }
}

/// The fragments of a block's warps (c of tensor_core.cuh) and the quads of its epilogue: each
/// element of the tile once.
void results() {
  for (const TileSize size : kSizes) {
    const TileBf16 tile = tileBf16(size);
    std::vector<int> owners(static_cast<size_t>(tile.rows * tile.cols)),
        lines(static_cast<size_t>(tile.rows * tile.cols));
    for (int thread = 0; thread < tile.threads(); thread++)
      for (int i = 0; i < tile.rowFragments(); i++)
        for (int j = 0; j < tile.colFragments(); j++)
          for (int e = 0; e < 4; e++) {
            const int row = tile.warpRow(thread) + 16 * i + e / 2 * 8 + thread % 32 / 4;
            const int col = tile.warpCol(thread) + 8 * j + thread % 4 * 2 + e % 2;
            check(row < tile.rows && col < tile.cols, "an element outside of its tile");
            owners[static_cast<size_t>(row * tile.cols + col)]++;
          }
    for (int thread = 0; thread < tile.threads(); thread++)
      for (int e = thread; e < tile.rows * tile.cols / 4; e += tile.threads())
        for (int n = 0; n < 4; n++)
          lines[static_cast<size_t>(e / (tile.cols / 4) * tile.cols + e % (tile.cols / 4) * 4 + n)]++;
    for (const auto* counts : {&owners, &lines})
      check(std::all_of(counts->begin(), counts->end(), [](int n) { return n == 1; }), "each element is one thread's");
  }
}

void allPlaces(int lines, int chunks, const std::function<int(int, int)>& place, const std::string& what) {
  std::vector<int> taken(static_cast<size_t>(lines * chunks));
  for (int line = 0; line < lines; line++)
    for (int chunk = 0; chunk < chunks; chunk++) {
      const int at = place(line, chunk);
      check(at >= 0 && at < lines * chunks, what + ": a place outside");
      taken[static_cast<size_t>(at)]++;
    }
  check(std::all_of(taken.begin(), taken.end(), [](int n) { return n == 1; }), what + ": each place is taken once");
}

void places() {
  for (const int width : {64, 128}) {
    allPlaces(width, 8, placeInFloatRow, "rows of floats");
    allPlaces(width, 4, placeInHalfRow, "rows of bf16");
    allPlaces(
        32, width / 4, [&](int k, int chunk) { return placeInFloatStep(k, chunk, width); }, "steps of floats");
    allPlaces(
        32, width / 8, [&](int k, int chunk) { return placeInHalfStep(k, chunk, width); }, "steps of bf16");
  }
}

/// Whether accesses of `bytes` bytes by lanes that go together (8 of 16 bytes, 16 of 8, 32 of 4)
/// meet every bank once. address: bytes, of a lane.
bool withoutConflict(int bytes, const std::function<int(int)>& address) {
  const int together = 128 / bytes;
  for (int first = 0; first < 32; first += together) {
    std::vector<int> banks(32);
    for (int lane = first; lane < first + together; lane++)
      for (int b = 0; b < bytes; b += 4) banks[static_cast<size_t>((address(lane) + b) / 4 % 32)]++;
    if (!std::all_of(banks.begin(), banks.end(), [](int n) { return n == 1; })) return false;
  }
  return true;
}

/// The accesses of product_bf16.cu: fragments of a in pairs of floats, of fp32 operands across
/// steps one float at a time, of bf16 by ldmatrix (eight rows of 16 bytes at once), copies of eight
/// lanes to a line.
void banks() {
  for (int row = 0; row < 128; row += 16)
    for (int i = 0; i < 4; i++)
      for (const int k : {0, 16})
        check(withoutConflict(8,
                              [&](int lane) {
                                const int r = row + lane / 4 + i % 2 * 8, first = k + 2 * (lane % 4) + i / 2 * 8;
                                return 16 * placeInFloatRow(r, first / 4) + 4 * (first % 4);
                              }),
              "fragments of rows of floats");
  for (const int width : {64, 128})
    for (int col = 0; col < width; col += 8)
      for (const int k : {0, 8, 16, 24})
        for (const int next : {0, 1})
          check(withoutConflict(4,
                                [&](int lane) {
                                  const int c = col + lane / 4, step = k + 2 * (lane % 4) + next;
                                  return 16 * placeInFloatStep(step, c / 4, width) + 4 * (c % 4);
                                }),
                "fragments of steps of floats");
  for (int col = 0; col < 128; col += 16)
    for (const int k : {0, 16})
      check(withoutConflict(16,
                            [&](int lane) {
                              const int matrix = lane / 8, row = lane % 8;
                              return 16 * placeInHalfRow(col + matrix / 2 * 8 + row, k / 8 + matrix % 2);
                            }),
            "matrices of rows of bf16");
  for (const int width : {64, 128})
    for (int col = 0; col < width; col += 16)
      for (const int k : {0, 16})
        check(withoutConflict(16,
                              [&](int lane) {
                                const int matrix = lane / 8, row = lane % 8;
                                return 16 * placeInHalfStep(k + matrix % 2 * 8 + row, col / 8 + matrix / 2, width);
                              }),
              "matrices of steps of bf16");
  for (int first = 0; first < 1024; first += 32) {
    check(withoutConflict(16, [&](int lane) { return 16 * placeInFloatRow((first + lane) / 8, (first + lane) % 8); }),
          "copies to rows of floats");
    check(withoutConflict(16,
                          [&](int lane) { return 16 * placeInHalfRow((first + lane) / 4 % 128, (first + lane) % 4); }),
          "copies to rows of bf16");
    for (const int width : {64, 128}) {
      check(withoutConflict(16,
                            [&](int lane) {
                              const int e = first + lane, perLine = width / 4;
                              return 16 * placeInFloatStep(e / perLine % 32, e % perLine, width);
                            }),
            "copies to steps of floats");
      check(withoutConflict(16,
                            [&](int lane) {
                              const int e = first + lane, perLine = width / 8;
                              return 16 * placeInHalfStep(e / perLine % 32, e % perLine, width);
                            }),
            "copies to steps of bf16");
    }
  }
  for (const TileSize size : kSizes) {
    const int stride = tileBf16(size).resultStride();
    check(withoutConflict(8, [&](int lane) { return 4 * (lane / 4 * stride + 2 * (lane % 4)); }), "results");
    check(stride % 4 == 0, "rows of results begin on 16 bytes");
  }
}

/// Every step of both depths is in one slab, in order, and an mma step is left out only where all
/// of it is beyond.
void slabs() {
  for (int first = 0; first <= 140; first++)
    for (const int second : {0, 1, 8, 15, 16, 17, 32, 33, 64, 256}) {
      const SlabPlan plan{first, second};
      std::vector<int> covered(static_cast<size_t>(first + second));
      for (int slab = 0; slab < plan.count(); slab++) {
        const int depth = plan.inFirst(slab) ? first : second, before = plan.inFirst(slab) ? 0 : first;
        check(plan.begin(slab) < depth && plan.steps(slab) >= 1, "no slab without work");
        for (int k = plan.begin(slab); k < std::min(depth, plan.begin(slab) + TileBf16::kStep * plan.steps(slab)); k++)
          covered[static_cast<size_t>(before + k)]++;
      }
      check(std::all_of(covered.begin(), covered.end(), [](int n) { return n == 1; }), "each step is in one slab");
      // A list of six parts has the slabs of its own two, wherever the empty ones are.
      const SlabList<6> list{{0, first, 0, 0, second, 0}};
      check(list.count() == plan.count(), "a list has other slabs");
      for (int slab = 0; slab < plan.count(); slab++) {
        const auto place = list.place(slab);
        check(place.part == (plan.inFirst(slab) ? 1 : 4) && place.begin == plan.begin(slab) &&
                  place.steps == plan.steps(slab),
              "a slab of a list lies elsewhere");
      }
    }
  check(SlabPlan{768, 16}.steps(24) == 1 && SlabPlan{768, 17}.steps(24) == 2, "a rank of 16 costs one mma step");
}

/// Tiles cover a product, none lies outside; the choice does not depend on the depth.
void selection() {
  for (int rows = 1; rows <= 700; rows++)
    for (const int cols : {1, 8, 63, 64, 65, 128, 129, 768, 2304, 3072}) {
      const TileBf16 tile = tileBf16(selectTileBf16(rows, cols));
      const auto down = ceilDivide(rows, tile.rows), across = ceilDivide(cols, tile.cols);
      check(down * tile.rows >= rows && (down - 1) * tile.rows < rows && across * tile.cols >= cols &&
                (across - 1) * tile.cols < cols,
            "tiles cover a product, none lies outside");
      check(eachTileOnce(rows, cols, tile.rows, tile.cols), "each tile is one block's");
    }
  check(selectTileBf16(425, 768) == TileSize::small && selectTileBf16(8192, 768) == TileSize::large,
        "few rows get small tiles, many rows large ones");
}

/// Lane g, t of the low-rank products and weight gradients: what it reads from memory goes to the
/// places of an mma such that every step (and column) is somebody's once.
void exchangedSteps() {
  std::vector<int> steps(16), columns(32);
  for (int t = 0; t < 4; t++)
    for (int i = 0; i < 4; i++) {
      const int place = 2 * t + i % 2 + i / 2 * 8;
      steps[static_cast<size_t>(place)]++;
      check(place < 16, "a place of the fragment");
    }
  for (int column = 0; column < 8; column++)
    for (int f = 0; f < 4; f++) columns[static_cast<size_t>(4 * column + f)]++;
  for (const auto* counts : {&steps, &columns})
    check(std::all_of(counts->begin(), counts->end(), [](int n) { return n == 1; }), "each once");
}

void paddedRows() {
  for (int cols = 1; cols < 100; cols++) {
    const int padded = paddedColsBf16(cols);
    check(padded % 8 == 0 && padded >= cols && padded < cols + 8, "rows of copies are whole chunks");
  }
}

}  // namespace

void addCudaTileBf16Tests(Suite& suite) {
  suite.add("cudaTileBf16/shapes", shapes);
  suite.add("cudaTileBf16/results", results);
  suite.add("cudaTileBf16/places", places);
  suite.add("cudaTileBf16/banks", banks);
  suite.add("cudaTileBf16/slabs", slabs);
  suite.add("cudaTileBf16/selection", selection);
  suite.add("cudaTileBf16/exchangedSteps", exchangedSteps);
  suite.add("cudaTileBf16/paddedRows", paddedRows);
}

}  // namespace fl::test
