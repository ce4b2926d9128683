// y = x W^T + u B^T and dx = dy W + v A on the tensor cores of compute capability 9.0, with what
// follows in the epilogue. All operands are bf16 in memory, sums are fp32, each is rounded once
// when it is stored.
//
//   z[m, n] = sum_k x[m, k] w(k, n) + sum_i u[m, i] b(i, n) + bias[n]
//   out     = f(z) + residual             (a forward pass; `preActivation` keeps z too)
//   out     = z f'(slopeAt) + residual    (a backward pass: slopeAt is what f was given)
//
// u comes from memory, or is made in the same kernel of R more columns (u = scaling x a, rounded to
// bf16 once, as a kernel of its own would give it): LoRA, Hu et al. 2021, section 4.1; design:
// "graph splitting" at u.
//
// Sums are added along the depth in steps of 16, u last, whatever the tile: results do not depend
// on it.
//
// Not used by any op yet: no GPU has run it (benchmarks/gpu-ledger.md).
#pragma once

#include <cstdint>

#include "cuda/hopper/tile.h"
#include "ops/op.h"

namespace fl::cuda::hopper {

struct LoraGemm {
  int rows = 0, cols = 0, depth = 0;
  const uint16_t* x = nullptr;  // [rows, depth]
  /// [cols, depth] (W of y = x W^T) where `depthContiguous`, else [depth, cols] (the same W of dx =
  /// dy W).
  const uint16_t* w = nullptr;
  bool depthContiguous = true;

  /// Ranks padded with zeros to a multiple of 16 (paddedRank); 0: no adapter.
  int rank = 0;
  /// [cols, rank] or [rank, cols], like w.
  const uint16_t* b = nullptr;
  /// [rows, segments rank]: read, or where `a` is given written.
  uint16_t* u = nullptr;
  /// Makes u in a forward pass (depthContiguous): [rank, depth], one segment. Rank 16 but for the
  /// tile `wide`; 32 and 64 with `broad`.
  const uint16_t* a = nullptr;
  float scaling = 1;
  /// Adapters side by side in one product (q, k and v): columns s segmentCols .. of out belong to
  /// segment s, whose u are the columns from segmentOf[s] rank on; negative: that segment has no
  /// adapter. 0: one segment, all columns.
  int segmentCols = 0;
  static constexpr int kMostSegments = 4;
  int8_t segmentOf[kMostSegments] = {0, 0, 0, 0};

  const uint16_t* bias = nullptr;      // [cols]?
  const uint16_t* residual = nullptr;  // [rows, cols]?
  const uint16_t* slopeAt = nullptr;   // [rows, cols]?
  Activation activation = Activation::none;
  uint16_t* preActivation = nullptr;  // [rows, cols]?
  uint16_t* out = nullptr;            // [rows, cols]
};

/// What is wrong with it for this kernel, in words; null: nothing. Rows of all operands begin on 16
/// bytes.
const char* faultOf(const LoraGemm& gemm, TileName tile);

/// On compute capability 9.0 alone. Throws INVALID_SHAPE with what faultOf says.
void run(const char* op, const LoraGemm& gemm, TileName tile);

}  // namespace fl::cuda::hopper
