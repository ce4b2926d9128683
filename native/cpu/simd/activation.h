// The activations in the form that the compiled copies of the kernels take: they may not include
// ops/op.h, whose Activation has the same values. cpu/ops/kernel_arguments.h turns one into the
// other; math.inc has the formulas.
#pragma once

#include <stdint.h>

namespace fl::cpu {

enum class KernelActivation : uint8_t { none, gelu, geluTanh, relu, tanh };

}  // namespace fl::cpu
