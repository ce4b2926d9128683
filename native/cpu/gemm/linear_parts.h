// What linear and loraLinear share when they fill in a product.
#pragma once

#include "cpu/gemm/kernels.h"
#include "cpu/gemm/product.h"
#include "ops/linear.h"

namespace fl::cpu {

inline float* floatsOrNull(const Tensor& t) { return t.present() ? t.as<float>() : nullptr; }

inline TileActivation tileActivation(Activation activation) {
  switch (activation) {
    case Activation::gelu:
      return TileActivation::gelu;
    case Activation::geluTanh:
      return TileActivation::geluTanh;
    case Activation::relu:
      return TileActivation::relu;
    case Activation::tanh:
      return TileActivation::tanh;
    case Activation::none:
      break;
  }
  return TileActivation::none;
}

inline void setEpilogue(Product& p, const GradientEpilogue& epilogue) {
  p.slopeAt = floatsOrNull(epilogue.preActivation);
  p.activation = tileActivation(epilogue.activation);
  p.residual = floatsOrNull(epilogue.residual);
}

}  // namespace fl::cpu
