// gatherRows: y[g] = x[index[g]], and gatherRowsBackward: dx = 0, then dx[index[g]] += dy[g] in the
// order of g. Lookups in tables of weights, summed: ops/embedding.h.
// source: torch.index_select and its gradient
#pragma once

#include "ops/op.h"

namespace fl {

struct GatherRowsOp {
  static constexpr Signature signature{"x [R, N], index [G] i32 < R", "y [G, N]"};
  Tensor x, index, y;

  static GatherRowsOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0), c.input(1), c.output(0)};
  }
};

struct GatherRowsBackwardOp {
  static constexpr Signature signature{"dy [G, N], index [G] i32 < R", "dx [R, N]"};
  Tensor dy, index, dx;

  static GatherRowsBackwardOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0), c.input(1), c.output(0)};
  }
};

}  // namespace fl
