// What a step does besides its ops: zero gradients, note the loss.
// Recording the whole as a graph is graph.h's.
#pragma once

#include <span>

#include "ops/backend.h"

namespace fl::cuda {

/// Sets f32 tensors to zero, many in one launch.
void zero(std::span<const Tensor> tensors);

/// One thread: record += {loss * lossScale, finite}; with `first` the record starts anew.
void noteLoss(const Tensor& loss, const StepState& step, bool first, LossRecord* record);

}  // namespace fl::cuda
