// The ops of the CUDA backend: a function for each entry of ops/ops.def, whose header in native/ops
// has operands and formulas, and the optimizer step. They are defined in cuda/ops/ and
// cuda/attention/.
#pragma once

#include "ops/optimizer_update.h"

namespace fl::cuda {

#define FL_OP(name, Contract) void name(const OpCall& call);
#include "ops/ops.def"

/// Norm, clip and AdamW over all tensors; the host waits once, at the end.
ApplyResult update(const OptimizerUpdate& update);

}  // namespace fl::cuda
