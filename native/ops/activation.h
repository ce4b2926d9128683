// activation: y = f(x), elementwise.
//   gelu: x/2 (1 + erf(x/sqrt 2));  geluTanh: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)));  relu: max(x, 0);  tanh
// inputs: x [R, N];  outputs: y [R, N];  attributes: activation
// source: torch.nn.functional.gelu(approximate='none' | 'tanh'), relu, tanh
//
// activationBackward: dx = dy * f'(x), from the pre-activation x.
// inputs: dy [R, N], x [R, N];  outputs: dx [R, N] (may be dy);  attributes: activation
#pragma once

#include "ops/op.h"

namespace fl {

struct ActivationOp {
  Tensor x, y;
  Activation kind;

  static ActivationOp bind(const OpCall& call) {
    Contract c(call, 1, 1, 1, 1);
    ActivationOp op{c.input(0), c.output(0), bindActivation(c)};
    c.matrix(op.x, "x", op.x.rows(), op.x.cols());
    c.matrix(op.y, "y", op.x.rows(), op.x.cols());
    return op;
  }
};

struct ActivationBackwardOp {
  Tensor dy, x, dx;
  Activation kind;

  static ActivationBackwardOp bind(const OpCall& call) {
    Contract c(call, 2, 2, 1, 1);
    ActivationBackwardOp op{c.input(0), c.input(1), c.output(0), bindActivation(c)};
    c.matrix(op.x, "x", op.x.rows(), op.x.cols());
    c.matrix(op.dy, "dy", op.x.rows(), op.x.cols());
    c.matrix(op.dx, "dx", op.x.rows(), op.x.cols());
    return op;
  }
};

}  // namespace fl
