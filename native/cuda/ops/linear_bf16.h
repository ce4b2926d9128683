// The bf16 forms of the linear ops, which linear.cu, lora_linear.cu and segmented_lora_linear.cu
// choose by precision. Each is defined in the file of that name and _bf16.
#pragma once

#include "cuda/gemm/segments.cuh"
#include "ops/linear.h"
#include "ops/lora_linear.h"
#include "ops/segmented_lora_linear.h"

namespace fl::cuda {

void linearBf16(const LinearOp& op);
void linearBackwardInputBf16(const LinearBackwardInputOp& op);
/// Where neither side is thin (selection.h, isThin).
void linearBackwardWeightBf16(const LinearBackwardWeightOp& op);
void loraLinearBf16(const LoraLinearOp& op);
void loraLinearBackwardBf16(const LoraLinearBackwardOp& op);
void segmentedLoraLinearBf16(const SegmentedLoraLinearOp& op);
/// With rows.
void segmentedLoraLinearBackwardBf16(const SegmentedLoraLinearBackwardOp& op);

/// The tables of such an op, as kernels take them.
template <class Op>
Segments segmentTable(const Op& op) {
  return {op.ends.template as<int32_t>(), op.settings.template as<float>(), static_cast<int>(op.settings.rows()),
          op.x.rows(), op.mostRank()};
}

}  // namespace fl::cuda
