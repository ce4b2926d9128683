// add: y = a + b.     inputs: a [R, N], b [R, N];  outputs: y [R, N]
// scale: y = factor x. inputs: x [R, N];  outputs: y [R, N];  attributes: factor
// dropout: y = mask * x / (1 - p), mask from Philox (runtime/philox.h). It is its own gradient: dx = dropout(dy), same
// site.
//   inputs: x [R, N], tokenIndex? [R];  outputs: y [R, N];  attributes: dropout (p in [0, 1)), site
// source: torch.add, torch.mul, torch.nn.functional.dropout
#pragma once

#include "ops/op.h"

namespace fl {

struct AddOp {
  Tensor a, b, y;

  static AddOp bind(const OpCall& call) {
    Contract c(call, 2, 2, 1, 1);
    AddOp op{c.input(0), c.input(1), c.output(0)};
    c.matrix(op.a, "a", op.a.rows(), op.a.cols());
    c.matrix(op.b, "b", op.a.rows(), op.a.cols());
    c.matrix(op.y, "y", op.a.rows(), op.a.cols());
    return op;
  }
};

struct ScaleOp {
  Tensor x, y;
  double factor;

  static ScaleOp bind(const OpCall& call) {
    Contract c(call, 1, 1, 1, 1);
    ScaleOp op{c.input(0), c.output(0), call.attributes->number("factor")};
    c.matrix(op.x, "x", op.x.rows(), op.x.cols());
    c.matrix(op.y, "y", op.x.rows(), op.x.cols());
    return op;
  }
};

struct DropoutOp {
  Tensor x, y;
  DropoutSpec dropout;

  static DropoutOp bind(const OpCall& call) {
    Contract c(call, 1, 2, 1, 1);
    DropoutOp op{c.input(0), c.output(0), {}};
    c.matrix(op.x, "x", op.x.rows(), op.x.cols());
    c.matrix(op.y, "y", op.x.rows(), op.x.cols());
    op.dropout = DropoutSpec::bind(c, c.input(1), op.x.rows());
    return op;
  }
};

}  // namespace fl
