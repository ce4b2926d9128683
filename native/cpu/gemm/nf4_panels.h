// A frozen weight in NF4 (runtime/nf4.h), kept in its four bits a value: each job of a product
// expands the column panel that it multiplies, and throws it away. One copy serves x W^T and dy W.
// Weights in other forms: panels.h, int8_panels.h.
#pragma once

#include <memory>

#include "cpu/gemm/panels.h"
#include "runtime/nf4.h"

namespace fl::cpu {

struct Nf4Weight {
  nf4::Weights weights;
  /// Of W [N, K]; 0: absent.
  int64_t rows = 0, cols = 0;
  WeightUse use = WeightUse::forward;
  std::shared_ptr<const void> owner;

  bool present() const { return rows != 0; }
};

/// The copy kept with W's parameter (made when missing or older than its value), or, for a tensor
/// without one, a copy of its own. Not inside a parallel region.
Nf4Weight nf4Weight(const Tensor& W, WeightUse use);

/// Column panel `column` of the product, elements [k0, k0 + k) of k (k0 a multiple of the depth):
/// the panel at `memory`, which has room for nf4PanelWords.
int64_t nf4PanelWords(const Kernels& kernels, const Nf4Weight& weight, int64_t k);
void nf4Panel(const Kernels& kernels, const Nf4Weight& weight, int64_t column, int64_t k0, int64_t k, Word* memory);

}  // namespace fl::cpu
