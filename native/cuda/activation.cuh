// Activations in a kernel; the formulas are in ops/activation.h.
#pragma once

#include "ops/op.h"

namespace fl::cuda {

__device__ inline float activate(Activation kind, float x) {
  constexpr float kSqrtHalf = 0.70710678f, kSqrtTwoOverPi = 0.79788456f, kCubic = 0.044715f;
  switch (kind) {
    case Activation::none:
      break;
    case Activation::gelu:
      return 0.5f * x * (1.0f + erff(x * kSqrtHalf));
    case Activation::geluTanh:
      return 0.5f * x * (1.0f + tanhf(kSqrtTwoOverPi * (x + kCubic * x * x * x)));
    case Activation::relu:
      return x < 0.0f ? 0.0f : x;  // NaN stays NaN
    case Activation::tanh:
      return tanhf(x);
  }
  return x;
}

}  // namespace fl::cuda
