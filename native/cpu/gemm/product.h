// The driver of the packed products: C (+)= A B + u L, with what belongs to a tile's end. The ops
// fill one in (cpu/ops/linear.cc, lora_linear.cc); how it is cut into tiles is in product.cc.
#pragma once

#include <functional>

#include "cpu/gemm/kernels.h"
#include "cpu/gemm/low_rank.h"
#include "cpu/gemm/panels.h"

namespace fl::cpu {

struct Product {
  explicit Product(const Kernels& k) : kernels(k) {}

  const Kernels& kernels;
  int64_t m = 0, n = 0, k = 0;

  /// A [m, k]: element (i, t) at a[i * lda + t], or at a[t * lda + i] when transposed.
  const float* a = nullptr;
  int64_t lda = 0;
  bool aTransposed = false;

  /// B [k, n] in panels, or row-major in bRows (then packed on the way).
  Panels b;
  const float* bRows = nullptr;
  int64_t ldb = 0;

  /// rank > 0: C += u L with u [m, rank] and L [rank, n] in panels.
  int64_t rank = 0;
  Panels adapter;
  float* u = nullptr;
  /// Where present, u is made (and stored) first, from A, which is not transposed then.
  LowRank low;

  float* c = nullptr;
  bool accumulate = false;
  const float* bias = nullptr;
  const float* residual = nullptr;
  float* preActivation = nullptr;
  /// Where present, C = f'(slopeAt) C + residual instead of f(C) + residual.
  const float* slopeAt = nullptr;
  KernelActivation activation = KernelActivation::none;

  /// Called between parallel regions, in order, for rows [begin, end) of A whose results (u, C) are
  /// made, as soon as they are; begin is a multiple of kernels.depth. `rowsAtOnce` says how many
  /// rows that should be at most (0: no wish).
  std::function<void(int64_t begin, int64_t end)> afterRows;
  int64_t rowsAtOnce = 0;
};

/// C, residual, preActivation and slopeAt are dense [m, n].
void multiply(const Product& product);

}  // namespace fl::cpu
