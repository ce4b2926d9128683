// Sums over the rows of a batch: the gradients of adapters and thin weights. Rows are cut into
// fixed pieces (selection.h), each piece is summed in row order, and the pieces are added in order:
// no atomics, the same bits every time.
#pragma once

#include "cuda/gemm/selection.h"
#include "cuda/ops/mask.cuh"

namespace fl::cuda {

/// out += p^T (mask * q):  out[i, c] += sum_row p[row, i] mask(row, c) q[row, c]
struct WeightGradient {
  int64_t rows = 0, rank = 0, cols = 0;
  const float* p = nullptr;  // [rows, rank]
  const float* q = nullptr;  // [rows, cols]
  Mask mask;
  float* out = nullptr;
  /// out is [rank, cols], or transposed [cols, rank].
  bool transposed = false;
  /// fp32, or p and mask * q rounded and multiplied on tensor cores.
  Precision precision = Precision::fp32;
};

/// Floats that run() needs for the partial sums.
int64_t partialCount(const WeightGradient& sum);
/// `partials`: memory for them, free again for what runs next.
void run(const char* op, const WeightGradient& sum, float* partials);
/// The partial sums alone, in bf16 (weight_gradient_bf16.cu).
void launchPartialsBf16(const char* op, const WeightGradient& sum, const RowSplit& split, float* partials);

}  // namespace fl::cuda
