// add, scale and dropout, element by element: y = a + b, y = factor x, y = mask * x / (1 - p).
// The mask comes from runtime/philox.h; dropout is its own gradient: dx = dropout(dy) of the same
// site.
// source: torch.add, torch.mul, torch.nn.functional.dropout
#pragma once

#include "ops/op.h"

namespace fl {

struct AddOp {
  static constexpr Signature signature{"a [R, N], b [R, N]", "y [R, N]"};
  Tensor a, b, y;

  static AddOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0), c.input(1), c.output(0)};
  }
};

struct ScaleOp {
  static constexpr Signature signature{"x [R, N]", "y [R, N]", "factor"};
  Tensor x, y;
  double factor;

  static ScaleOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0), c.output(0), c.number("factor")};
  }
};

struct DropoutOp {
  static constexpr Signature signature{"x [R, N], tokenIndex? [R] i32", "y [R, N]", "dropout = 0, site = 0",
                                       "dropout in [0, 1)"};
  Tensor x, y;
  DropoutSpec dropout;

  static DropoutOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0), c.output(0), DropoutSpec::bind(c, c.input(1))};
  }
};

}  // namespace fl
