// The ops of the CPU backend, all fp32: a function for each entry of ops/ops.def, whose header in
// native/ops has operands and formulas. They are defined in cpu/ops/ and cpu/attention/.
#pragma once

#include "ops/op.h"

namespace fl::cpu {

#define FL_OP(name, Contract) void name(const OpCall& call);
#include "ops/ops.def"

}  // namespace fl::cpu
