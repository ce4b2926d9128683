// linear: z = x W^T + b;  y = f(z) + residual.
// inputs: x [R, K], W [N, K], b? [N], residual? [R, N]
// outputs: y [R, N], preActivation? [R, N] (z, for backward; only with an activation)
// attributes: activation ('none' by default; ops/activation.h has the formulas), precision ('fp32' by default; op.h)
// source: torch.nn.functional.linear
//
// The two products of the gradients have the attribute precision too.
// linearBackwardInput:  dx = f'(z) dy W + residual.
//   inputs: dy [R, N], W [N, K], preActivation? [R, K], residual? [R, K];  outputs: dx [R, K];  attributes: activation
//   f and z belong to the layer whose result x is, so that the gradient goes on before its activation; the residual is
//   what other readers of x already brought. On the CPU the bits of activationBackward and add after a bare
//   product.
// linearBackwardWeight: dW += dy^T x.        inputs: dy [R, N], x [R, K];  outputs: dW [N, K] acc
// biasBackward:         db += sum_rows dy.   inputs: dy [R, N];            outputs: db [N] acc
// Sums over rows run in row order inside one output element (dW) or in ordered chunks of 256 rows (db).
#pragma once

#include "ops/op.h"

namespace fl {

/// The end of a product that makes a gradient dx [rows, cols]: dx = f'(z) dx + residual.
struct GradientEpilogue {
  Tensor preActivation, residual;
  Activation activation = Activation::none;

  /// preActivation and residual are inputs `first` and `first` + 1.
  static GradientEpilogue bind(Contract& c, int first, int64_t rows, int64_t cols) {
    GradientEpilogue e{c.input(first), c.input(first + 1), bindActivation(c)};
    if (e.preActivation.present() != (e.activation != Activation::none))
      c.reject("preActivation and an activation belong together: one is given without the other");
    c.optionalMatrix(e.preActivation, "preActivation", rows, cols);
    c.optionalMatrix(e.residual, "residual", rows, cols);
    return e;
  }
  bool present() const { return preActivation.present() || residual.present(); }
};

struct LinearOp {
  Tensor x, W, b, residual, y, preActivation;
  Activation activation;
  Precision precision;

  static LinearOp bind(const OpCall& call) {
    Contract c(call, 2, 4, 1, 2);
    LinearOp op{c.input(0),  c.input(1),  c.input(2),        c.input(3),
                c.output(0), c.output(1), bindActivation(c), bindPrecision(call.op, *call.attributes)};
    const int64_t rows = op.x.rows(), n = op.W.rows();
    c.matrix(op.x, "x", rows, op.x.cols());
    c.matrix(op.W, "W", n, op.x.cols());
    c.optionalVector(op.b, "b", n);
    c.optionalMatrix(op.residual, "residual", rows, n);
    c.matrix(op.y, "y", rows, n);
    c.optionalMatrix(op.preActivation, "preActivation", rows, n);
    return op;
  }
};

struct LinearBackwardInputOp {
  Tensor dy, W, dx;
  Precision precision;
  GradientEpilogue epilogue;

  static LinearBackwardInputOp bind(const OpCall& call) {
    Contract c(call, 2, 4, 1, 1);
    LinearBackwardInputOp op{c.input(0), c.input(1), c.output(0), bindPrecision(call.op, *call.attributes), {}};
    c.matrix(op.W, "W", op.W.rows(), op.W.cols());
    c.matrix(op.dy, "dy", op.dy.rows(), op.W.rows());
    c.matrix(op.dx, "dx", op.dy.rows(), op.W.cols());
    op.epilogue = GradientEpilogue::bind(c, 2, op.dy.rows(), op.W.cols());
    return op;
  }
};

struct LinearBackwardWeightOp {
  Tensor dy, x, dW;
  Precision precision;

  static LinearBackwardWeightOp bind(const OpCall& call) {
    Contract c(call, 2, 2, 1, 1);
    LinearBackwardWeightOp op{c.input(0), c.input(1), c.output(0), bindPrecision(call.op, *call.attributes)};
    c.matrix(op.dy, "dy", op.x.rows(), op.dy.cols());
    c.matrix(op.x, "x", op.x.rows(), op.x.cols());
    c.matrix(op.dW, "dW", op.dy.cols(), op.x.cols());
    return op;
  }
};

struct BiasBackwardOp {
  Tensor dy, db;

  static BiasBackwardOp bind(const OpCall& call) {
    Contract c(call, 1, 1, 1, 1);
    BiasBackwardOp op{c.input(0), c.output(0)};
    c.matrix(op.dy, "dy", op.dy.rows(), op.dy.cols());
    c.vector(op.db, "db", op.dy.cols());
    return op;
  }
};

}  // namespace fl
