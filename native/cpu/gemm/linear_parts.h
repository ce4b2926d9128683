// What the linear ops (cpu/ops/linear.cc, lora_linear.cc, segmented_lora_linear.cc) share when they
// fill in a product: operands, bias, activation, residual. The product itself is product.h's.
#pragma once

#include "cpu/dispatch.h"
#include "cpu/gemm/product.h"
#include "cpu/ops/kernel_arguments.h"
#include "ops/linear.h"

namespace fl::cpu {

inline float* floatsOrNull(const Tensor& t) { return t.present() ? t.as<float>() : nullptr; }

/// The right operand of a product with a frozen weight, in the form that the weight is held in:
/// made here or found with its parameter. Not inside a parallel region.
inline void setWeight(Product& p, const Tensor& W, WeightUse use, BaseWeights weights) {
  if (weights == BaseWeights::int8) {
    p.int8 = int8Weight(int8Kernels(), W, use);
    return;
  }
  if (weights == BaseWeights::nf4) {
    p.nf4 = nf4Weight(W, use);
    return;
  }
  WeightPanels made = weightPanels(p.kernels, W, use, WorkspaceSlot::weightPanels);
  p.b = made.panels;
  p.owner = std::move(made.owner);
}

inline void setEpilogue(Product& p, const GradientEpilogue& epilogue) {
  p.slopeAt = floatsOrNull(epilogue.preActivation);
  p.activation = kernelActivation(epilogue.activation);
  p.residual = floatsOrNull(epilogue.residual);
}

/// y = f(x W^T + b) + residual of LinearOp, or of an op with the same operands.
template <class Op>
Product outputProduct(const Kernels& kernels, const Op& op) {
  Product p(kernels);
  setWeight(p, op.W, WeightUse::forward, op.baseWeights);
  p.m = op.x.rows();
  p.n = op.W.rows();
  p.k = op.x.cols();
  p.a = op.x.template as<float>();
  p.lda = p.k;
  p.c = op.y.template as<float>();
  p.bias = floatsOrNull(op.b);
  p.residual = floatsOrNull(op.residual);
  p.preActivation = floatsOrNull(op.preActivation);
  p.activation = kernelActivation(op.activation);
  return p;
}

/// dx = dy W of LinearBackwardInputOp, or of an op with the same operands.
template <class Op>
Product inputGradientProduct(const Kernels& kernels, const Op& op) {
  Product p(kernels);
  setWeight(p, op.W, WeightUse::backward, op.baseWeights);
  p.m = op.dy.rows();
  p.n = op.dx.cols();
  p.k = op.dy.cols();
  p.a = op.dy.template as<float>();
  p.lda = p.k;
  p.c = op.dx.template as<float>();
  return p;
}

}  // namespace fl::cpu
