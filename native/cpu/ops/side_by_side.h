// Calls of several programs over one frozen weight, run together. Which calls those may be is said
// in ops/backend.h; who brings them is program/side_by_side.cc.
#pragma once

#include <span>

#include "ops/op.h"

namespace fl::cpu {

/// Does what the calls do: linear and loraLinear, or linearBackwardInput and loraLinearBackward
/// with dx, of one weight, precision and form of weights.
void runSideBySide(std::span<const OpCall> calls);

}  // namespace fl::cpu
