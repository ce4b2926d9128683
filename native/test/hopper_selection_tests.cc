// How the kernels for compute capability 9.0 cut up their work (cuda/hopper), checked without a
// device: tiles fit, every tile is computed once, nobody waits for ever, descriptors and swizzle
// agree.
#include <cmath>
#include <cstdint>
#include <deque>
#include <set>
#include <vector>

#include "cuda/hopper/adapter_rule.h"
#include "cuda/hopper/schedule.h"
#include "cuda/hopper/swizzle.h"
#include "cuda/hopper/tensor_map.h"
#include "cuda/hopper/tile.h"
#include "test/tests.h"

namespace fl::test {
namespace {

using namespace fl::cuda::hopper;
using fl::cuda::ceilDivide;

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

/// Blocks that take positions in order, each up to two tiles at a time, as slowly as one likes: all
/// tiles end.
bool ends(const FlagWalk& walk, int grid, bool backward) {
  std::vector<std::deque<int>> blocks(static_cast<size_t>(grid));
  for (int item = 0; item < walk.items(); item++) blocks[static_cast<size_t>(item % grid)].push_back(item);
  std::vector<bool> flag(static_cast<size_t>(walk.rowTiles));
  int left = walk.items();
  for (bool progress = true; left > 0 && progress;) {
    progress = false;
    for (int i = 0; i < grid; i++) {
      auto& queue = blocks[static_cast<size_t>(backward ? grid - 1 - i : i)];
      if (queue.empty()) continue;
      const auto place = walk.place(queue.front());
      if (!place.makesU() && !flag[static_cast<size_t>(place.rowTile)]) continue;
      if (place.makesU()) flag[static_cast<size_t>(place.rowTile)] = true;
      queue.pop_front();
      left--;
      progress = true;
    }
  }
  return left == 0;
}

void flagsNeverLock() {
  for (const int rowTiles : {1, 2, 3, 7, 16, 33})
    for (const int colTiles : {2, 3, 4, 12})
      for (const int ahead : {1, 2, 5, 33}) {
        const FlagWalk walk{rowTiles, colTiles, ahead};
        std::set<std::pair<int, int>> seen;
        std::vector<int> made(static_cast<size_t>(rowTiles), -1);
        for (int item = 0; item < walk.items(); item++) {
          const auto place = walk.place(item);
          check(place.rowTile < rowTiles && place.colTile < colTiles &&
                    seen.insert({place.rowTile, place.colTile}).second,
                "a tile lies outside or comes twice");
          if (place.makesU())
            made[static_cast<size_t>(place.rowTile)] = item;
          else
            check(made[static_cast<size_t>(place.rowTile)] >= 0, "a tile comes before the one whose u it waits for");
        }
        for (const int grid : {1, 2, 3, 8, 131, 132})
          for (const bool backward : {false, true}) check(ends(walk, grid, backward), "tiles wait for ever");
      }
}

void tokenSplits() {
  for (int64_t rows = 1; rows <= 300000; rows += rows < 20000 ? 1 : 997) {
    const TokenSplit split = splitTokens(rows);
    check(split.rowsPerBlock % TokenSplit::kChunk == 0 && split.clusters >= 1 &&
              split.clusters <= TokenSplit::kMostClusters,
          "pieces are not whole chunks, or partial sums are too many");
    check(split.begin(split.clusters, 0) >= rows && (split.clusters == 1 || split.begin(split.clusters - 1, 0) < rows),
          "clusters do not cover the rows");
  }
}

/// The rule's borders are those of the two costs, worked out here from bytes and FLOP.
void uByCost() {
  for (const int64_t cols : {768, 1024, 2304, 3072, 4096})
    for (const int64_t rank : {1, 8, 16, 17, 32, 64})
      for (const bool inL2 : {false, true}) {
        const LayerFacts facts{32768, cols, rank, false, inL2, false, 192};
        const double R = paddedRank(rank), depth = 768, rows = 32768;
        const double columns = 2 * rows * depth * R * static_cast<double>(cols) / 192;
        const double shrink = 2 * rows * depth * static_cast<double>(inL2 ? kFlopsPerL2Byte : kFlopsPerByte);
        const MakeU expected = columns < shrink ? MakeU::extraColumns : MakeU::shrink;
        if (std::fabs(columns / shrink - 1) > 0.01) check(selectMakeU(facts) == expected, "u is made the dearer way");
      }
  check(selectMakeU({32768, 768, 8, true, false, false, 192}) == MakeU::layerNorm,
        "a LayerNorm's output: u comes with it");
  check(selectMakeU({32768, 768, 8, true, false, true, 192}) == MakeU::shrink,
        "dropout on x: u has a kernel of its own");
  check(selectMakeU({32768, 768, 65, false, false, false, 192}) == MakeU::shrink, "a large rank has no extra columns");
  check(paddedRank(1) == 16 && paddedRank(16) == 16 && paddedRank(17) == 32, "ranks are padded to steps");
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

/// Results go to a box as words of two: the eight rows and four words of a warp's access meet every
/// bank once.
void storesMeetEachBankOnce() {
  for (int warp = 0; warp < 4; warp++)
    for (int j = 0; j < 8; j++)
      for (int h = 0; h < 2; h++) {
        std::set<uint32_t> banks;
        for (int lane = 0; lane < 32; lane++) {
          const int line = warp * 16 + lane / 4 + 8 * h;
          banks.insert(swizzled(static_cast<uint32_t>(line * kLineBytes + 16 * j + lane % 4 * 4)) / 4 % 32);
        }
        check(banks.size() == 32, "a store of results meets a bank twice");
      }
}

void mapsThatCanBe() {
  const MatrixBoxes fine{nullptr, 100, 768, 128, 64};
  check(faultOf(fine) == nullptr, "a plain matrix is refused");
  const auto refused = [](MatrixBoxes m) { return faultOf(m) != nullptr; };
  check(refused({nullptr, 0, 768, 128, 64}) && refused({nullptr, 100, 0, 128, 64}), "an empty matrix is taken");
  check(refused({nullptr, 100, 772, 128, 64}), "rows that begin off 16 bytes are taken");
  check(refused({nullptr, 100, 768, 257, 64}) && refused({nullptr, 100, 768, 128, 65}),
        "a box that is too large is taken");
}

}  // namespace

void addHopperSelectionTests(Suite& suite) {
  suite.add("hopper/tilesFit", tilesFit);
  suite.add("hopper/tilesByShape", tilesByShape);
  suite.add("hopper/walkCovers", walkCovers);
  suite.add("hopper/flagsNeverLock", flagsNeverLock);
  suite.add("hopper/tokenSplits", tokenSplits);
  suite.add("hopper/uByCost", uByCost);
  suite.add("hopper/descriptors", descriptors);
  suite.add("hopper/storesMeetEachBankOnce", storesMeetEachBankOnce);
  suite.add("hopper/mapsThatCanBe", mapsThatCanBe);
}

}  // namespace fl::test
