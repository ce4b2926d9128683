// Attributes of ops in the form that the compiled copies of the kernels take (cpu/simd/mask.h,
// cpu/simd/activation.h). How the ops cut up their work is in cpu/rows/rows.h and
// cpu/gemm/product.h.
#pragma once

#include "cpu/simd/activation.h"
#include "cpu/simd/mask.h"
#include "ops/op.h"

namespace fl::cpu {

inline Mask maskOf(const DropoutSpec& dropout) {
  return {dropout.key.site,
          dropout.key.forwardNumber,
          static_cast<uint32_t>(dropout.key.seed),
          static_cast<uint32_t>(dropout.key.seed >> 32),
          dropout.threshold(),
          static_cast<float>(dropout.keepScale())};
}

static_assert(static_cast<int>(Activation::none) == static_cast<int>(KernelActivation::none) &&
              static_cast<int>(Activation::gelu) == static_cast<int>(KernelActivation::gelu) &&
              static_cast<int>(Activation::geluTanh) == static_cast<int>(KernelActivation::geluTanh) &&
              static_cast<int>(Activation::relu) == static_cast<int>(KernelActivation::relu) &&
              static_cast<int>(Activation::tanh) == static_cast<int>(KernelActivation::tanh));

inline KernelActivation kernelActivation(Activation activation) { return static_cast<KernelActivation>(activation); }

}  // namespace fl::cpu
