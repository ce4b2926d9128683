// activation: y = f(x), elementwise, and its gradient. An activation at the end of a product is
// part of that op (ops/linear.h); the names of f are in ops/op.h.
//   gelu: x/2 (1 + erf(x/sqrt 2));  geluTanh: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
//   relu: max(x, 0);  tanh
// source: torch.nn.functional.gelu(approximate='none' | 'tanh'), relu, tanh
//
// activationBackward: dx = dy * f'(x), from the pre-activation x; dx may be dy.
#pragma once

#include "ops/op.h"

namespace fl {

struct ActivationOp {
  static constexpr Signature signature{"x [R, N]", "y [R, N]", "activation = none"};
  Tensor x, y;
  Activation kind;

  static ActivationOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0), c.output(0), bindActivation(c)};
  }
};

struct ActivationBackwardOp {
  static constexpr Signature signature{"dy [R, N], x [R, N]", "dx [R, N]", "activation = none"};
  Tensor dy, x, dx;
  Activation kind;

  static ActivationBackwardOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0), c.input(1), c.output(0), bindActivation(c)};
  }
};

}  // namespace fl
