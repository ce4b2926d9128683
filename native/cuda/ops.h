// The ops of the CUDA backend; contracts are in ops/.
#pragma once

#include "ops/op.h"

namespace fl::cuda {

void add(const OpCall& call);
void biasBackward(const OpCall& call);
void linear(const OpCall& call);
void linearBackwardInput(const OpCall& call);
void linearBackwardWeight(const OpCall& call);
void loraLinear(const OpCall& call);
void loraLinearBackward(const OpCall& call);
void scale(const OpCall& call);

}  // namespace fl::cuda
