// A frozen weight as int8 codes in the panels of int8_kernels.h, made once and kept with its
// parameter. In fp32 and bf16: panels.h; what the codes mean: ops/base_weights.h.
#pragma once

#include <memory>

#include "cpu/gemm/int8_kernels.h"
#include "cpu/gemm/panels.h"

namespace fl::cpu {

/// A view: step s of column j of panel p is data[p * stride + s * nr + j].
struct Int8Panels {
  const Word* data = nullptr;
  int64_t k = 0, steps = 0;
  int64_t columns = 0;
  int nr = 0;
  /// Of the weight's rows: of the columns in x W^T (filled up to whole panels), of k in dy W.
  const float* scales = nullptr;
  /// 128 times the sum of each column's codes.
  const int32_t* offsets = nullptr;

  int64_t count() const { return (columns + nr - 1) / nr; }
  int64_t stride() const { return steps * nr; }
  const Word* panel(int64_t p) const { return data + p * stride(); }
};

struct Int8Weight {
  const Int8Kernels* kernels = nullptr;
  Int8Panels panels;
  WeightUse use = WeightUse::forward;
  std::shared_ptr<const void> owner;

  bool present() const { return kernels != nullptr; }
};

/// The copy kept with W's parameter (made when missing or older than its value), or, for a tensor
/// without one, a copy of its own. Not inside a parallel region.
Int8Weight int8Weight(const Int8Kernels& kernels, const Tensor& W, WeightUse use);

}  // namespace fl::cpu
