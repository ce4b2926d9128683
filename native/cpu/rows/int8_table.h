// A frozen table of embeddings as int8 codes with a scale a row, made once and kept with its
// parameter. Weights of products have panels: cpu/gemm/int8_panels.h; formula: ops/embedding.h.
#pragma once

#include <memory>

#include "runtime/tensor.h"

namespace fl::cpu {

/// codes [V, H] and scales [V].
struct Int8Table {
  const int8_t* codes = nullptr;
  const float* scales = nullptr;
  int64_t cols = 0;
  std::shared_ptr<const void> owner;

  /// y [H] = code * scale of row v.
  void expand(int64_t v, float* y) const {
    const int8_t* const code = codes + v * cols;
    const float scale = scales[v];
    for (int64_t c = 0; c < cols; c++) y[c] = static_cast<float>(code[c]) * scale;
  }
};

/// The copy kept with the table's parameter (made when missing or older than its value), or, for a
/// tensor without one, a copy of its own. Not inside a parallel region.
Int8Table int8Table(const Tensor& table);

}  // namespace fl::cpu
