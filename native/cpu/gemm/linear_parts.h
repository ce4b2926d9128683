// What linear and loraLinear (cpu/ops/linear.cc, lora_linear.cc) share when they fill in a product:
// bias, activation, residual. The product itself is product.h's.
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

}  // namespace fl::cpu
