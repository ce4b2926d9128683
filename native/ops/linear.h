// linear: z = x W^T + b;  y = f(z) + residual, and the three parts of its gradient. Formulas of f
// are in ops/activation.h, those of precision in ops/op.h, of baseWeights in ops/base_weights.h;
// with an adapter it is ops/lora_linear.h.
// preActivation is z, for backward; only with an activation. source: torch.nn.functional.linear
//
// linearBackwardInput:  dx = f'(z) dy W + residual.
//   f and z belong to the layer whose result x is, so that the gradient goes on before its
//   activation; the residual is what other readers of x already brought. On the CPU the bits of
//   activationBackward and add after a bare product.
// linearBackwardWeight: dW += dy^T x.
// biasBackward:         db += sum_rows dy.
// Sums over rows run in row order inside one output element (dW) or in ordered chunks of 256 rows
// (db).
#pragma once

#include "ops/base_weights.h"
#include "ops/op.h"

namespace fl {

/// The end of a product that makes a gradient dx: dx = f'(z) dx + residual.
struct GradientEpilogue {
  Tensor preActivation, residual;
  Activation activation = Activation::none;

  /// preActivation and residual are inputs `first` and `first` + 1.
  static GradientEpilogue bind(const Contract& c, int first) {
    GradientEpilogue e{c.input(first), c.input(first + 1), bindActivation(c)};
    if (e.preActivation.present() != (e.activation != Activation::none))
      c.reject("preActivation and an activation belong together: one is given without the other");
    return e;
  }
  bool present() const { return preActivation.present() || residual.present(); }
};

struct LinearOp {
  static constexpr Signature signature{"x [R, K], W [N, K] packed forward, b? [N], residual? [R, N]",
                                       "y [R, N], preActivation? [R, N]",
                                       "activation = none, precision = fp32, baseWeights = fp32"};
  Tensor x, W, b, residual, y, preActivation;
  Activation activation;
  Precision precision;
  BaseWeights baseWeights;

  static LinearOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0),
            c.input(1),
            c.input(2),
            c.input(3),
            c.output(0),
            c.output(1),
            bindActivation(c),
            bindPrecision(call.op, *call.attributes),
            bindBaseWeights(c, c.input(1).cols())};
  }
};

struct LinearBackwardInputOp {
  static constexpr Signature signature{"dy [R, N], W [N, K] packed backward, preActivation? [R, K], residual? [R, K]",
                                       "dx [R, K]", "precision = fp32, activation = none, baseWeights = fp32"};
  Tensor dy, W, dx;
  Precision precision;
  GradientEpilogue epilogue;
  BaseWeights baseWeights;

  static LinearBackwardInputOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0),
            c.input(1),
            c.output(0),
            bindPrecision(call.op, *call.attributes),
            GradientEpilogue::bind(c, 2),
            bindBaseWeights(c, c.input(1).rows())};
  }
};

struct LinearBackwardWeightOp {
  static constexpr Signature signature{"dy [R, N], x [R, K]", "dW [N, K] acc", "precision = fp32"};
  Tensor dy, x, dW;
  Precision precision;

  static LinearBackwardWeightOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0), c.input(1), c.output(0), bindPrecision(call.op, *call.attributes)};
  }
};

struct BiasBackwardOp {
  static constexpr Signature signature{"dy [R, N]", "db [N] acc"};
  Tensor dy, db;

  static BiasBackwardOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0), c.output(0)};
  }
};

}  // namespace fl
