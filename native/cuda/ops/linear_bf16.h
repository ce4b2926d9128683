// The bf16 forms of the linear ops, which linear.cu and lora_linear.cu choose by precision.
// Defined in linear_bf16.cu and lora_linear_bf16.cu.
#pragma once

#include "ops/linear.h"
#include "ops/lora_linear.h"

namespace fl::cuda {

void linearBf16(const LinearOp& op);
void linearBackwardInputBf16(const LinearBackwardInputOp& op);
/// Where neither side is thin (selection.h, isThin).
void linearBackwardWeightBf16(const LinearBackwardWeightOp& op);
void loraLinearBf16(const LoraLinearOp& op);
void loraLinearBackwardBf16(const LoraLinearBackwardOp& op);

}  // namespace fl::cuda
