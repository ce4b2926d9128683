// Activations and their slopes in a kernel; the formulas are in ops/activation.h.
// The ops that apply them alone are in activation.cu.
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

/// f'(x).
__device__ inline float activationSlope(Activation kind, float x) {
  constexpr float kSqrtHalf = 0.70710678f, kInvSqrtTwoPi = 0.39894228f;
  constexpr float kSqrtTwoOverPi = 0.79788456f, kCubic = 0.044715f;
  switch (kind) {
    case Activation::none:
      break;
    case Activation::gelu:
      return 0.5f * (1.0f + erff(x * kSqrtHalf)) + x * kInvSqrtTwoPi * expf(-0.5f * x * x);
    case Activation::geluTanh: {
      const float t = tanhf(kSqrtTwoOverPi * (x + kCubic * x * x * x));
      return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * kSqrtTwoOverPi * (1.0f + 3.0f * kCubic * x * x);
    }
    case Activation::relu:
      return x <= 0.0f ? 0.0f : 1.0f;
    case Activation::tanh: {
      const float t = tanhf(x);
      return 1.0f - t * t;
    }
  }
  return 1.0f;
}

}  // namespace fl::cuda
