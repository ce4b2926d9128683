// How the CUDA attention kernels cut up their work (cuda/attention/attention_tile.h), checked
// exhaustively without a device. Their results: compare_tests.cc.
#include "cuda/attention/attention_tile.h"

#include <set>

#include "test/tests.h"

namespace fl::test {
namespace {

using namespace fl::cuda;

/// Every head dimension fits its padding, every tile the shared memory of an sm_86 (99 KiB a block)
/// with room for a second block where the rows are padded to 64.
void tiles() {
  for (int64_t headDim = 1; headDim <= AttentionTile::kMostHeadDim; headDim++)
    for (const bool someTokens : {false, true}) {
      const AttentionTile tile{attentionSlots(headDim), attentionRowsPerWarp(someTokens)};
      check(tile.headDim() >= headDim, "the padding holds the head");
      check(tile.rows() <= 32, "a lane for every row of a tile");
      check(tile.sharedBytes(2, 2) <= (size_t{99} << 10), "a tile fits into shared memory");
      if (headDim <= 64) check(tile.sharedBytes(2, 2) <= (size_t{48} << 10), "two tiles fit, with room");
    }
}

/// Eight lanes that read 16 bytes of eight rows at the same feature meet eight different groups of
/// four banks, and rows stay 16-byte aligned.
void banks() {
  for (const int slots : {1, 2, 4}) {
    const AttentionTile tile{slots, 8};
    check(tile.stride() % 4 == 0, "rows begin on 16 bytes");
    for (int feature = 0; feature < tile.headDim(); feature += 4)
      for (int first = 0; first < 32; first += 8) {
        std::set<int> groups;
        for (int row = first; row < first + 8; row++) groups.insert((row * tile.stride() + feature) / 4 % 8);
        check(groups.size() == 8, "no two of eight lanes read from the same banks");
      }
  }
}

/// For every distance of the columns from the start of a row's sequence, the bit that a lane takes
/// is that of its own feature, from a call that is made for that row.
void dropoutBits() {
  for (const int rows : {2, 8})
    for (int row = 0; row < rows; row++)
      for (int shifted = -40; shifted <= 600; shifted++)
        for (int column = 0; column < AttentionTile::kColumns; column++) {
          const int feature = shifted + column;
          if (feature < 0) continue;
          const AttentionQuads::Source source = AttentionQuads::source(row, column, shifted & 3);
          const int madeFor = source.last ? source.lane : AttentionQuads::rowOf(row / 4, source.lane);
          const int quad = source.last ? AttentionQuads::kQuads : AttentionQuads::quadOf(source.lane);
          check(source.lane < 32 && madeFor == row, "the lane made a call for this row");
          check(4 * ((shifted >> 2) + quad) + source.bit == feature, "the bit is the feature's");
        }
}

}  // namespace

void addCudaAttentionTests(Suite& suite) {
  suite.add("cudaAttention/tiles", tiles);
  suite.add("cudaAttention/banks", banks);
  suite.add("cudaAttention/dropoutBits", dropoutBits);
}

}  // namespace fl::test
