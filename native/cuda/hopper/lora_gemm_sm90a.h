// y = x W^T + u B^T and dx = dy W + v A on the tensor cores of compute capability 9.0, with what
// follows in the epilogue. Factors are bf16 in memory, sums and everything else fp32, as the ops
// have it. Which ops use it, and when: product_sm90a.h.
//
//   z[m, n] = sum_k x[m, k] w(k, n) + sum_i u[m, i] b(i, n) + bias[n]
//   out     = f(z) + residual             (a forward pass; `preActivation` keeps z too)
//   out     = z f'(slopeAt) + residual    (a backward pass: slopeAt is what f was given)
//
// u comes from memory, or is made in the same kernel of R more columns (u = scaling x a, stored in
// fp32 and rounded to bf16 once, as a kernel of its own would give it): LoRA, Hu et al. 2021,
// section 4.1; design: "graph splitting" at u.
//
// Sums are added along the depth in steps of 16, u last, whatever the tile: results do not depend
// on it.
#pragma once

#include <cstdint>

#include "cuda/hopper/tile.h"
#include "ops/op.h"

namespace fl::cuda::hopper {

/// Rows of bf16 matrices are padded with zeros to whole chunks of 16 bytes (paddedColsBf16).
struct LoraGemm {
  int rows = 0, cols = 0, depth = 0;
  const uint16_t* x = nullptr;  // [rows, depth]
  /// [cols, depth] (W of y = x W^T) where `depthContiguous`, else [depth, cols] (the same W of dx =
  /// dy W).
  const uint16_t* w = nullptr;
  /// It says too which pass this is: bias, preActivation and f are a forward pass's.
  bool depthContiguous = true;

  /// 0: no adapter.
  int rank = 0;
  /// [cols, rank] or [rank, cols], like w.
  const uint16_t* b = nullptr;
  /// [rows, rank]; not read where `a` is given.
  const uint16_t* u = nullptr;
  /// Makes u in a forward pass (depthContiguous): [rank, depth], by a tile that hasExtraColumns.
  const uint16_t* a = nullptr;
  float* madeU = nullptr;  // [rows, rank]
  float scaling = 1;

  const float* bias = nullptr;      // [cols]?
  const float* residual = nullptr;  // [rows, cols]?
  const float* slopeAt = nullptr;   // [rows, cols]?
  Activation activation = Activation::none;
  float* preActivation = nullptr;  // [rows, cols]?
  float* out = nullptr;            // [rows, cols]
};

/// What is wrong with it for this kernel, in words; null: nothing. Matrices begin on 16 bytes.
const char* faultOf(const LoraGemm& gemm, TileName tile);

/// On compute capability 9.0 alone. Throws INVALID_SHAPE with what faultOf says.
void run(const char* op, const LoraGemm& gemm, TileName tile);

}  // namespace fl::cuda::hopper
