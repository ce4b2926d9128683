// C = a b (+ a' b'), fp32, the one tile kernel behind `linear`, its gradients and their LoRA forms.
// The update a' b' of an adapter is more steps of the same accumulator, so that fused and separate
// products, and a layer with and without adapter, use the same tiles and the same order along the
// depth. The bf16 form is product_bf16.h.
#pragma once

#include "cuda/gemm/segments.cuh"
#include "cuda/ops/mask.cuh"
#include "ops/linear.h"

namespace fl::cuda {

/// How the operands lie in memory, and what becomes of the accumulator z:
enum class Layout : uint8_t {
  /// a [rows, depth], b [cols, depth]:  out = f(z + bias) + residual,  preActivation = z + bias
  nt,
  /// a [rows, depth], b [depth, cols]:  out = f'(slopeAt) (a b + mask * (a' b')) + residual
  nn,
  /// a [depth, rows], b [depth, cols]:  out += z
  tn,
};

struct Factors {
  const float* a = nullptr;
  const float* b = nullptr;
  /// 0: there is no such product.
  int64_t depth = 0;
};

struct Product {
  int64_t rows = 0, cols = 0;
  Factors main, update;
  /// With slots (nt and nn), the update is that of each row's segment: `update.a` [rows, mostRank]
  /// has each segment's dense, `update.b` has a block of mostRank * cols for each slot, and depths
  /// are the segments' ranks. Each element has the bits of a product of its segment alone.
  Segments segments;
  float* out = nullptr;  // [rows, cols]

  const float* bias = nullptr;      // [cols]?
  const float* residual = nullptr;  // [rows, cols]?
  float* preActivation = nullptr;   // [rows, cols]?
  const float* slopeAt = nullptr;   // [rows, cols]?
  Activation activation = Activation::none;

  Mask mask;
};

template <class AnyProduct>
void setEpilogue(AnyProduct& p, const GradientEpilogue& epilogue) {
  p.slopeAt = epilogue.preActivation.as<float>();
  p.activation = epilogue.activation;
  p.residual = epilogue.residual.as<float>();
}

/// `op` is named in errors. Nothing happens where there is nothing to compute (no rows).
void run(const char* op, Layout layout, const Product& product);

}  // namespace fl::cuda
