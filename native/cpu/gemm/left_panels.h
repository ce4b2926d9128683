// The rows of the left operand of a product, packed into panels (kernels.h) with u behind them:
// where they lie, and who makes them. Which panels are made when, and by what they are multiplied:
// product.cc.
#pragma once

#include <span>

#include "cpu/gemm/product.h"
#include "cpu/gemm/row_panels.h"
#include "runtime/thread_pool.h"

namespace fl::cpu {

/// Panels whose rows are packed at a time.
struct SuperBlock {
  int64_t firstPanel, panels;
  int64_t firstRow;
};

struct Block {
  /// Elements of k, the first a multiple of the kernels' depth.
  int64_t k0, k;
  bool first, last;
  /// The steps they make, and the words of a row of a left panel: of the steps, then with the rank
  /// behind the last block. With int8 weights a float follows, the row's scale.
  int64_t steps, baseWords, words;
};

class LeftPanels {
 public:
  /// Row panels whose u is made together, at most: the panels of A, which may not stay in the L2
  /// cache beside what is packed, are then read once for them.
  static constexpr int64_t kTogether = 4;

  explicit LeftPanels(std::span<const Product* const> products);

  const RowPanels& rows() const { return rows_; }
  const ProductSegment& segmentOf(int64_t panel) const { return rows_.partOf(panel).segment; }
  /// Rows of a panel, at most.
  int mr() const { return mr_; }

  /// Memory for the panels of `part`. Not inside a parallel region.
  void begin(const Block& block, const SuperBlock& part);
  /// Where a panel lies.
  Word* panel(int64_t panel) const { return memory_ + (rows_.begin(panel) - part_.firstRow) * block_.words; }
  /// With int8 weights: the scale of each row.
  float* int8RowScales(int64_t panel) const {
    return reinterpret_cast<float*>(this->panel(panel) + (block_.words - 1) * rows_.size(panel));
  }

  /// Makes panels [begin, end), at most kTogether of them.
  void pack(int64_t begin, int64_t end, int thread) const;
  /// Makes elements [begin, begin + count) of k of all panels, of an operand that is transposed.
  void packTransposed(int64_t begin, int64_t count) const;

  /// body(first row, rows) for a panel's rows, as many at a time as the kernels of the precision
  /// take: all of them, unless those of int8 codes take more.
  template <class Body>
  void forTileRows(int64_t panel, Body body) const {
    const int size = rows_.size(panel), parts = (size + kernels_.mr - 1) / kernels_.mr;
    for (int i = 0; i < parts; i++) body(i * size / parts, (i + 1) * size / parts - i * size / parts);
  }

 private:
  void packWords(int64_t begin, int64_t end, int thread) const;
  void packInt8(int64_t panel, int thread) const;
  void appendUpdate(int64_t panel, Word* memory) const;

  // The first of the products, for what all have in common.
  const Product& p_;
  const Kernels& kernels_;
  const int mr_;
  const RowPanels rows_;
  Block block_{};
  SuperBlock part_{};
  Word* memory_ = nullptr;
};

}  // namespace fl::cpu
