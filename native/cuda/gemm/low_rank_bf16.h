// u = s (mask x) A^T and v = s dy B on tensor cores, results in fp32.
#pragma once

#include "cuda/ops/mask.cuh"
#include "cuda/gemm/cast_copies.cuh"

namespace fl::cuda {

/// out[row, i] = scaling * sum_k bf16(mask(row, k) x[row, k]) bf16(factor(k, i))
struct LowRankBf16 {
  int64_t rows = 0;
  int depth = 0, rank = 0;
  const float* x = nullptr;  // [rows, depth]
  Mask mask;
  /// [rank, depth] (A) where `depthContiguous`, else [depth, rank] (B).
  const float* factor = nullptr;
  bool depthContiguous = true;
  float scaling = 1;
  float* out = nullptr;  // [rows, rank]
  /// The adapter's factor for the large product that follows, rounded in the same launch; none where rows are 0.
  Rounding rounding;
};

void run(const char* op, const LowRankBf16& product);

}  // namespace fl::cuda
