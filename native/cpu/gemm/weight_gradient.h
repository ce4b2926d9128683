// Products that sum over the rows of two matrices and have few results: dA and dB of LoRA. The op
// that wants them is cpu/ops/lora_linear.cc; a full weight's gradient is a product of product.h.
#pragma once

#include <initializer_list>

#include "cpu/gemm/kernels.h"

namespace fl::cpu {

/// C [m, n] += sum over rows t of a[t, i] b[t, j], a [rows, m] and b [rows, n] row-major, C dense.
struct WeightGradient {
  const float* a = nullptr;
  int64_t m = 0;
  const float* b = nullptr;
  int64_t n = 0;
  float* c = nullptr;
};

/// Adds rows [begin, end), begin a multiple of kernels.gradientRows and end too or the last row, in
/// the order of rows: several calls in a row give the bits of one.
void addWeightGradients(const Kernels& kernels, std::initializer_list<WeightGradient> sums, int64_t begin, int64_t end);

}  // namespace fl::cpu
