// Tiles of lora_gemm_sm90a, what they need of a multiprocessor, and the model that chooses one:
// functions of the shape alone, tested without a device (native/test/hopper_selection_tests.cc).
//
// Every tile adds along the depth in the same steps of 16, so the choice changes no bit of a
// result.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cuda/gemm/selection.h"
#include "cuda/hopper/swizzle.h"

namespace fl::cuda::hopper {

/// What a block may have on compute capability 9.0.
constexpr int kMostSharedBytes = 227 << 10;
/// One warpgroup brings slabs, two multiply.
constexpr int kThreads = 384, kConsumers = 2;
/// Registers a thread after setmaxnreg: 128 * 40 + 256 * 232 of 65,536.
constexpr int kProducerRegisters = 40, kConsumerRegisters = 232;

/// The shape of a tile and of what brings it.
struct TileSm90a {
  /// Rows whose sums one consumer warpgroup holds in registers: 64 or 128.
  int groupRows;
  int cols;
  /// Each consumer has its own tile and stores it while the other multiplies; else both share one.
  bool pingPong;
  int stages;
  /// Blocks that share a weight tile: each brings its part to both.
  int cluster;

  constexpr int rows() const { return pingPong ? groupRows : kConsumers * groupRows; }
  /// Fp32 sums a thread holds, `extraCols` columns of u included.
  constexpr int sums(int extraCols) const { return groupRows * (cols + extraCols) / 128; }
  constexpr int bytesOfX() const { return rows() * kLineBytes; }
  /// @param depthContiguous weight [cols, depth]: one line a column. Else [depth, cols]: boxes of
  ///   64 columns.
  constexpr int bytesOfWeight(bool depthContiguous, int extraCols) const {
    return depthContiguous ? (cols + extraCols) * kLineBytes
                           : (ceilDivide(cols, kSlab) + ceilDivide(extraCols, kSlab)) * kBoxBytes;
  }
  constexpr int stageBytes(bool depthContiguous, int extraCols) const {
    return bytesOfX() + bytesOfWeight(depthContiguous, extraCols);
  }
  /// Two boxes a consumer through which results leave.
  static constexpr int resultBytes() { return kConsumers * 2 * kBoxBytes; }
  /// As many stages as fit, `stages` at most.
  constexpr int stagesThatFit(bool depthContiguous, int extraCols) const {
    const int room = kMostSharedBytes - resultBytes() - kAtomBytes - 256;
    return std::min(stages, room / stageBytes(depthContiguous, extraCols));
  }
  constexpr int sharedBytes(bool depthContiguous, int extraCols) const {
    return stagesThatFit(depthContiguous, extraCols) * stageBytes(depthContiguous, extraCols) + resultBytes() +
           kAtomBytes + 256;
  }
};

enum class TileName : uint8_t { wide, broad, square, small };
constexpr TileName kTileNames[] = {TileName::wide, TileName::broad, TileName::square, TileName::small};

constexpr TileSm90a tileOf(TileName name) {
  switch (name) {
    case TileName::wide:
      return {64, 256, false, 4, 2};
    case TileName::broad:
      return {64, 192, false, 5, 2};
    case TileName::square:
      return {128, 128, true, 6, 2};
    case TileName::small:
      return {64, 64, true, 8, 1};
  }
  return {};
}

/// Ranks as the kernels multiply them: whole steps of wgmma.
constexpr int paddedRank(int64_t rank) { return static_cast<int>((rank + kStep - 1) / kStep * kStep); }

/// Tiles that can make u of that padded rank themselves: those whose registers and shared memory
/// have room.
constexpr bool hasExtraColumns(TileName name, int rank) {
  return rank == 16 ? name != TileName::wide : rank <= 64 && name == TileName::broad;
}

/// What the model rests on: the H200's multiprocessors and the FLOP/s that large products reach
/// there; the rest are guesses until this has run on one (benchmarks/gpu-ledger.md).
struct Machine {
  int multiprocessors = 132;
  /// bf16 FLOP/s of all tensor cores.
  double flops = 790e12;
  /// Bytes/s that all multiprocessors together get from the L2 cache.
  double l2Bytes = 7e12;
  /// Bytes/s with which one multiprocessor's sums leave through shared memory.
  double storeBytes = 64 * 1.7e9;
  /// Seconds before the first product and after the last store.
  double launch = 3e-6;
};

/// Seconds of C[rows, cols] over `depth` steps: waves of tiles, each as long as its products or its
/// slabs take, and the stores that nothing hides.
constexpr double modelledSeconds(const TileSm90a& tile, int64_t rows, int64_t cols, int64_t depth,
                                 const Machine& machine = {}) {
  const int64_t rowTiles = ceilDivide(ceilDivide(rows, tile.rows()), tile.cluster) * tile.cluster;
  const int64_t tiles = rowTiles * ceilDivide(cols, tile.cols);
  const int64_t waves = ceilDivide(tiles, machine.multiprocessors / tile.cluster * tile.cluster);
  const double share = 1.0 / machine.multiprocessors, slabs = static_cast<double>(ceilDivide(depth, kSlab));
  const double slabFlops = 2.0 * tile.rows() * tile.cols * kSlab;
  const double slabBytes = tile.bytesOfX() + static_cast<double>(tile.cols) * kLineBytes / tile.cluster;
  const double slab = std::max(slabFlops / (machine.flops * share), slabBytes / (machine.l2Bytes * share));
  const double store = 2.0 * tile.rows() * tile.cols / machine.storeBytes;
  const auto inTurns = static_cast<double>(waves);
  const double exposed = tile.pingPong ? store + (inTurns - 1) * std::max(0.0, store - slabs * slab) : inTurns * store;
  return inTurns * slabs * slab + exposed + machine.launch;
}

/// @param extraCols the padded rank of u where the kernel makes it, else 0.
constexpr TileName selectTileSm90a(int64_t rows, int64_t cols, int64_t depth, int extraCols = 0) {
  TileName best = TileName::broad;  // which has all extra columns
  for (const TileName name : kTileNames)
    if ((extraCols == 0 || hasExtraColumns(name, extraCols)) &&
        modelledSeconds(tileOf(name), rows, cols, depth) < modelledSeconds(tileOf(best), rows, cols, depth))
      best = name;
  return best;
}

}  // namespace fl::cuda::hopper
