// How the kernels for compute capability 9.0 cut up their work (cuda/hopper), checked without a
// device: tiles fit, every tile is computed once, u is made where it costs less, descriptors and
// swizzle agree.
#include <cmath>
#include <cstdint>
#include <set>

#include "cuda/hopper/adapter_rule.h"
#include "cuda/hopper/schedule.h"
#include "cuda/hopper/swizzle.h"
#include "cuda/hopper/tensor_map.h"
#include "cuda/hopper/tile.h"
#include "test/tests.h"

namespace fl::test {
namespace {

using namespace fl::cuda::hopper;

void tilesFit() {
  check(128 * kProducerRegisters + kConsumers * 128 * kConsumerRegisters <= 65536,
        "the warpgroups' registers are more than a multiprocessor has");
  for (const TileName name : kTileNames)
    for (const bool depthContiguous : {false, true})
      for (const int extra : {0, 16, 32, 64}) {
        const TileSm90a tile = tileOf(name);
        check(tile.sharedBytes(depthContiguous, extra) <= kMostSharedBytes, "a tile needs too much shared memory");
        check(tile.stageBytes(depthContiguous, extra) % kAtomBytes == 0, "a stage does not begin at an atom");
        check(tile.cols % 64 == 0 && tile.groupRows % 64 == 0, "a tile is not made of boxes");
        check(tile.cols / tile.cluster % 8 == 0, "a block's share of a weight is not made of atoms");
        if (extra == 0) check(tile.stagesThatFit(depthContiguous, 0) >= 4, "fewer than four stages");
        if (extra == 0) check(tile.sums(0) + 40 <= kConsumerRegisters, "sums leave no registers");
      }
}

void tilesByShape() {
  check(selectTileSm90a(8192, 768, 768) != TileName::wide, "8,192 rows of 768: the wide tile fills 73 % of its waves");
  check(selectTileSm90a(32768, 3072, 768) == TileName::wide || selectTileSm90a(32768, 3072, 768) == TileName::broad,
        "32,768 rows of 3,072 do not take a large tile");
  check(selectTileSm90a(425, 768, 768) == TileName::small, "a batch of SST-2 does not take the small tile");
  const Machine machine;
  for (const int64_t rows : {1, 64, 425, 2048, 8192, 32768, 100000})
    for (const int64_t cols : {768, 1024, 2304, 3072, 4096})
      for (const int64_t depth : {768, 1024, 3072, 4096}) {
        const double best = modelledSeconds(tileOf(selectTileSm90a(rows, cols, depth)), rows, cols, depth);
        for (const TileName name : kTileNames)
          check(best <= modelledSeconds(tileOf(name), rows, cols, depth), "another tile is faster by the model");
        const double flops = 2.0 * static_cast<double>(rows * cols) * static_cast<double>(depth);
        check(best >= flops / machine.flops, "the model is faster than the tensor cores");
        check(modelledSeconds(tileOf(TileName::wide), rows + 1, cols, depth) >=
                  modelledSeconds(tileOf(TileName::wide), rows, cols, depth),
              "more rows take less time");
      }
}

/// Every tile is one block's, rows of tiles beyond the last pair up with real ones only in a
/// cluster.
void walkCovers() {
  for (int rowTiles = 1; rowTiles <= 9; rowTiles++)
    for (int colTiles = 1; colTiles <= 6; colTiles++)
      for (const int cluster : {1, 2}) {
        const TileWalk walk{rowTiles, colTiles, cluster};
        std::set<std::pair<int, int>> seen;
        for (int item = 0; item < walk.items(); item++)
          for (int rank = 0; rank < cluster; rank++) {
            const auto place = walk.place(item, rank);
            check(place.colTile == walk.place(item, 0).colTile, "blocks of a cluster do not share a weight tile");
            check(place.rowTile < rowTiles + cluster - 1 && place.colTile < colTiles, "a tile lies outside");
            check(seen.insert({place.rowTile, place.colTile}).second, "a tile is computed twice");
          }
        check(static_cast<int>(seen.size()) == walk.items() * cluster, "tiles are missing");
        for (int r = 0; r < rowTiles; r++)
          for (int c = 0; c < colTiles; c++) check(seen.count({r, c}) == 1, "a tile is missing");
      }
}

/// The rule's borders are those of the two costs, worked out here from bytes and FLOP.
void uByCost() {
  for (const int64_t cols : {768, 1024, 2304, 3072, 4096})
    for (const int64_t rank : {1, 8, 16, 17, 32, 64}) {
      const double R = paddedRank(rank), depth = 768, rows = 32768;
      const double columns = 2 * rows * depth * R * static_cast<double>(cols) / 192;
      const double shrink = 2 * rows * depth * static_cast<double>(kFlopsPerByte);
      const MakeU expected = columns < shrink ? MakeU::extraColumns : MakeU::shrink;
      if (std::fabs(columns / shrink - 1) > 0.01)
        check(selectMakeU(cols, rank, false) == expected, "u is made the dearer way");
    }
  check(selectMakeU(768, 8, true) == MakeU::shrink, "dropout on x: u has a kernel of its own");
  check(selectMakeU(768, 65, false) == MakeU::shrink, "a large rank has no extra columns");
  check(paddedRank(1) == 16 && paddedRank(16) == 16 && paddedRank(17) == 32, "ranks are padded to steps");
  for (const int64_t rows : {1, 425, 8192, 32768})
    for (const int64_t cols : {4, 768, 1024, 4096})
      for (int64_t rank = 1; rank <= kMostExtraRank; rank++)
        check(hasExtraColumns(selectTileSm90a(rows, cols, 768, paddedRank(rank)), paddedRank(rank)),
              "u is to be made by a tile that can not");
}

/// A box as the copy engine writes it, read by the descriptors of each step: every element is where
/// wgmma looks for it.
void descriptors() {
  for (const uint32_t base : {0u, 8192u, 40960u}) {
    // [64 or more rows, 64 steps], line by line.
    for (int step = 0; step < kSlab / kStep; step++)
      for (int row = 0; row < 256; row++)
        for (int k = 0; k < kStep; k++)
          check(elementAddress(alongDepth(base, step), false, row, k) ==
                    base + swizzled(static_cast<uint32_t>(row * kLineBytes + (step * kStep + k) * 2)),
                "a step along the depth reads another element");
    // [64 steps, columns] in boxes of 64 columns.
    for (int step = 0; step < kSlab / kStep; step++)
      for (int col = 0; col < 256; col++)
        for (int k = 0; k < kStep; k++)
          check(elementAddress(acrossDepth(base, step), true, col, k) ==
                    base + static_cast<uint32_t>(col / 64 * kBoxBytes) +
                        swizzled(static_cast<uint32_t>((step * kStep + k) * kLineBytes + col % 64 * 2)),
                "a step across the depth reads another element");
  }
  std::set<uint32_t> places;
  for (uint32_t at = 0; at < kAtomBytes; at += 16) places.insert(swizzled(at));
  check(places.size() == kAtomBytes / 16 && *places.rbegin() < kAtomBytes, "the swizzle is no exchange within an atom");
}

/// Results go to a box as pairs of floats: the 16 lanes that are served at one time meet every bank
/// once, and the four stores of a line fill it.
void storesMeetEachBankOnce() {
  for (int warp = 0; warp < 4; warp++)
    for (int h = 0; h < 2; h++) {
      std::set<uint32_t> places;
      for (int store = 0; store < 4; store++)
        for (int half = 0; half < 2; half++) {
          std::set<uint32_t> banks;
          for (int lane = 16 * half; lane < 16 * half + 16; lane++) {
            const int line = warp * 16 + lane / 4 + 8 * h;
            const uint32_t at = swizzled(resultAddress(line, store ^ storedFirst(lane / 4), lane % 4));
            banks.insert(at / 4 % 32);
            banks.insert(at / 4 % 32 + 1);
            places.insert(at);
          }
          check(banks.size() == 32, "a store of results meets a bank twice");
        }
      check(places.size() == 4 * 32, "results share a place");
    }
}

void mapsThatCanBe() {
  constexpr Element bf16 = Element::bf16, f32 = Element::f32;
  const MatrixBoxes fine{nullptr, 100, 768, 128, 64, bf16};
  check(faultOf(fine) == nullptr, "a plain matrix is refused");
  const auto refused = [](MatrixBoxes m) { return faultOf(m) != nullptr; };
  check(refused({nullptr, 0, 768, 128, 64, bf16}) && refused({nullptr, 100, 0, 128, 64, bf16}),
        "an empty matrix is taken");
  check(refused({nullptr, 100, 772, 128, 64, bf16}) && refused({nullptr, 100, 770, 64, 32, f32}),
        "rows that begin off 16 bytes are taken");
  check(!refused({nullptr, 100, 772, 64, 32, f32}), "fp32 rows of whole 16 bytes are refused");
  check(refused({nullptr, 100, 768, 257, 64, bf16}) && refused({nullptr, 100, 768, 128, 65, bf16}) &&
            refused({nullptr, 100, 768, 64, 33, f32}),
        "a box that is too large is taken");
}

}  // namespace

void addHopperSelectionTests(Suite& suite) {
  suite.add("hopper/tilesFit", tilesFit);
  suite.add("hopper/tilesByShape", tilesByShape);
  suite.add("hopper/walkCovers", walkCovers);
  suite.add("hopper/uByCost", uByCost);
  suite.add("hopper/descriptors", descriptors);
  suite.add("hopper/storesMeetEachBankOnce", storesMeetEachBankOnce);
  suite.add("hopper/mapsThatCanBe", mapsThatCanBe);
}

}  // namespace fl::test
