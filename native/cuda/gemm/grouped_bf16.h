// Several products in bf16, and sums over rows that belong to the same layers, in one launch: what
// is smaller than a launch costs is not worth one of its own. Who puts them together:
// cuda/ops/linear_group.cu.
#pragma once

#include "cuda/gemm/product_bf16.h"
#include "cuda/gemm/weight_gradient.h"

namespace fl::cuda {

struct GroupBf16 {
  static constexpr int kMost = 3;
  /// Each layer's product and update.
  using Product = ProductOf<2 * kMost>;

  int products = 0, gradients = 0;
  /// Without masks and segments.
  Product product[kMost];
  WeightGradient gradient[2 * kMost];
};

/// Rows of a batch up to which a block sums a gradient over all of them: more are split among
/// blocks (weight_gradient.cu). The bits are the same.
constexpr int64_t kMostRowsAtOnce = 1024;

/// nt or nn. One launch where all results are small, else one for each product, or two of its
/// parts, and one for the gradients. A product of more than two parts has neither bias nor
/// activation; gradients have at most kMostRowsAtOnce rows.
void run(const char* op, Layout layout, const GroupBf16& group);

}  // namespace fl::cuda
