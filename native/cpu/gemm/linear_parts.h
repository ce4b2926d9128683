// What the linear ops (cpu/ops/linear.cc, lora_linear.cc, segmented_lora_linear.cc) share when they
// fill in a product: operands, bias, activation, residual. The product itself is product.h's.
#pragma once

#include "cpu/gemm/product.h"
#include "cpu/ops/kernel_arguments.h"
#include "ops/linear.h"

namespace fl::cpu {

inline float* floatsOrNull(const Tensor& t) { return t.present() ? t.as<float>() : nullptr; }

inline void setEpilogue(Product& p, const GradientEpilogue& epilogue) {
  p.slopeAt = floatsOrNull(epilogue.preActivation);
  p.activation = kernelActivation(epilogue.activation);
  p.residual = floatsOrNull(epilogue.residual);
}

/// y = f(x W^T + b) + residual of LinearOp, or of an op with the same operands.
template <class Op>
Product outputProduct(const Kernels& kernels, const Op& op, const WeightPanels& weight) {
  Product p(kernels);
  p.m = op.x.rows();
  p.n = op.W.rows();
  p.k = op.x.cols();
  p.a = op.x.template as<float>();
  p.lda = p.k;
  p.b = weight.panels;
  p.c = op.y.template as<float>();
  p.bias = floatsOrNull(op.b);
  p.residual = floatsOrNull(op.residual);
  p.preActivation = floatsOrNull(op.preActivation);
  p.activation = kernelActivation(op.activation);
  return p;
}

/// dx = dy W.
inline Product inputGradientProduct(const Kernels& kernels, const Tensor& dy, const Tensor& dx,
                                    const WeightPanels& weight) {
  Product p(kernels);
  p.m = dy.rows();
  p.n = dx.cols();
  p.k = dy.cols();
  p.a = dy.as<float>();
  p.lda = p.k;
  p.b = weight.panels;
  p.c = dx.as<float>();
  return p;
}

}  // namespace fl::cpu
