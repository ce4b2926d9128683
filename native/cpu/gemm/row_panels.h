// The rows of one or several products that are run together, cut into row panels. What is done with
// the panels: product.cc.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "cpu/gemm/product.h"

namespace fl::cpu {

/// Rows [first, end) of all products, those of one segment of one of them.
struct RowPart {
  const Product* product = nullptr;
  /// The first row of that product.
  int64_t offset = 0;
  int64_t first = 0, end = 0;
  /// Its end is that of the part.
  ProductSegment segment;
};

/// The rows of each part in as few panels as the tile allows, their sizes equal within `unit`:
/// panels begin at multiples of it, counted from the part's first row.
class RowPanels {
 public:
  /// A panel has at most `mr` rows, and at least one unit: kernels of int8 codes are those of the
  /// same instruction set as the others.
  RowPanels(std::span<const Product* const> products, int mr, int unit) {
    int64_t offset = 0;
    for (const Product* product : products) {
      addParts(*product, offset);
      offset += product->m;
    }
    for (size_t i = 0; i < parts_.size(); i++) {
      const RowPart& part = parts_[i];
      const int64_t units = (part.end - part.first + unit - 1) / unit, most = std::max(1, mr / unit);
      const int64_t panels = (units + most - 1) / most;
      for (int64_t p = 0; p < panels; p++) begins_.push_back(part.first + p * units / panels * unit);
      partOf_.resize(begins_.size(), i);
    }
    begins_.push_back(offset);
  }

  const std::vector<RowPart>& parts() const { return parts_; }
  int64_t count() const { return static_cast<int64_t>(partOf_.size()); }
  int64_t begin(int64_t panel) const { return begins_[static_cast<size_t>(panel)]; }
  int size(int64_t panel) const { return static_cast<int>(begin(panel + 1) - begin(panel)); }
  const RowPart& partOf(int64_t panel) const { return parts_[partOf_[static_cast<size_t>(panel)]]; }
  /// The first row of a panel, counted in its product.
  int64_t ownRow(int64_t panel) const { return begin(panel) - partOf(panel).offset; }
  const float* left(int64_t panel) const {
    const Product& product = *partOf(panel).product;
    return product.a + ownRow(panel) * product.lda;
  }
  /// The rows of u for a panel.
  float* update(int64_t panel) const {
    const RowPart& part = partOf(panel);
    return part.segment.u + (begin(panel) - part.first) * part.segment.rank;
  }

 private:
  // A product without segments is one of a single segment.
  void addParts(const Product& p, int64_t offset) {
    if (p.segments.empty()) {
      parts_.push_back({&p, offset, offset, offset + p.m, {p.m, p.rank, p.adapter, p.u, p.low}});
      return;
    }
    int64_t first = offset;
    for (const ProductSegment& segment : p.segments) {
      parts_.push_back({&p, offset, first, offset + segment.end, segment});
      first = offset + segment.end;
    }
  }

  std::vector<RowPart> parts_;
  std::vector<int64_t> begins_;
  std::vector<size_t> partOf_;
};

}  // namespace fl::cpu
