// u = s (mask x) A^T and v = s dy B on tensor cores, results in fp32, for
// cuda/ops/lora_linear_bf16.cu. The fp32 form is a kernel of cuda/ops/lora_linear.cu.
#pragma once

#include "cuda/gemm/cast_copies.cuh"
#include "cuda/ops/mask.cuh"

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
  /// The adapter's factor for the large product that follows, cast in the same launch; none where
  /// rows are 0.
  Cast cast;
};

void run(const char* op, const LowRankBf16& product);

}  // namespace fl::cuda
