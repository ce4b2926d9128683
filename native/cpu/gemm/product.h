// The driver of the packed products: C (+)= A B + u L, with what belongs to a tile's end.
#pragma once

#include "cpu/gemm/kernels.h"
#include "cpu/gemm/panels.h"

namespace fl::cpu {

struct ProductF32 {
  int64_t m = 0, n = 0, k = 0;

  /// A [m, k]: element (i, t) at a[i * lda + t], or at a[t * lda + i] when transposed.
  const float* a = nullptr;
  int64_t lda = 0;
  bool aTransposed = false;

  /// B [k, n] in panels, or row-major in bRows (then packed on the way).
  PanelsF32 b;
  const float* bRows = nullptr;
  int64_t ldb = 0;

  /// rank > 0: C += u L with u [m, rank] and L [rank, n] in panels.
  int64_t rank = 0;
  PanelsF32 adapter;
  float* u = nullptr;
  /// Where present, u = scale * A low^T is made (and stored) first, low [rank, k] row-major; A is not transposed then.
  const float* low = nullptr;
  float scale = 1;

  float* c = nullptr;
  bool accumulate = false;
  const float* bias = nullptr;
  const float* residual = nullptr;
  float* preActivation = nullptr;
  TileActivation activation = TileActivation::none;
};

/// C, residual and preActivation are dense [m, n].
void multiply(const ProductF32& product);

}  // namespace fl::cpu
