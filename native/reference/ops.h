// The reference ops: naive loops over the formulas of native/ops, single-threaded, one file an op
// beside this one. All arithmetic is in double, whatever T is, and each output element is rounded
// to T once: `float` is the most accurate answer that fits, `double` the truth.
#pragma once

#include "ops/op.h"

namespace fl::reference {

#define FL_OP(name, Contract) \
  template <class T>          \
  void name(const OpCall& call);
#include "ops/ops.def"

/// Both instances of an op, in the file that defines it.
#define FL_REFERENCE_OP(op)               \
  template void op<float>(const OpCall&); \
  template void op<double>(const OpCall&);

}  // namespace fl::reference
