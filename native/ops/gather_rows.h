// gatherRows: y[g] = x[index[g]].          inputs: x [R, N], index [G];  outputs: y [G, N]
// gatherRowsBackward: dx = 0, then dx[index[g]] += dy[g] in the order of g.
//                                          inputs: dy [G, N], index [G];  outputs: dx [R, N]
// Indices are checked by whoever makes the batch, before the step.
// source: torch.index_select and its gradient
#pragma once

#include "ops/op.h"

namespace fl {

struct GatherRowsOp {
  Tensor x, index, y;

  static GatherRowsOp bind(const OpCall& call) {
    Contract c(call, 2, 2, 1, 1);
    GatherRowsOp op{c.input(0), c.input(1), c.output(0)};
    c.matrix(op.x, "x", op.x.rows(), op.x.cols());
    c.matrix(op.y, "y", op.y.rows(), op.x.cols());
    c.indices(op.index, "index", op.y.rows());
    return op;
  }
};

struct GatherRowsBackwardOp {
  Tensor dy, index, dx;

  static GatherRowsBackwardOp bind(const OpCall& call) {
    Contract c(call, 2, 2, 1, 1);
    GatherRowsBackwardOp op{c.input(0), c.input(1), c.output(0)};
    c.matrix(op.dy, "dy", op.dy.rows(), op.dy.cols());
    c.indices(op.index, "index", op.dy.rows());
    c.matrix(op.dx, "dx", op.dx.rows(), op.dy.cols());
    return op;
  }
};

}  // namespace fl
