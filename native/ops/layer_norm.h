// layerNorm: y = (x - mean) rstd * gamma + beta, rstd = 1 / sqrt(variance + eps), mean and (biased) variance over the
// row. inputs: x [R, H], gamma [H], beta [H];  outputs: y [R, H], stats? [R, 2] (mean, rstd: what backward needs)
// attributes: eps
// source: torch.nn.functional.layer_norm (Ba, Kiros, Hinton 2016)
//
// layerNormBackward, with xhat = (x - mean) rstd and g = dy * gamma:
//   dx = rstd (g - mean_row(g) - xhat mean_row(g xhat)),  dgamma += sum_rows dy xhat,  dbeta += sum_rows dy
// inputs: dy [R, H], x [R, H], gamma [H], stats [R, 2];  outputs: dx? [R, H], dgamma? [H] acc, dbeta? [H] acc
// Sums over rows: chunks of 256 rows, each summed in order, then the chunks in order.
#pragma once

#include "ops/op.h"

namespace fl {

struct LayerNormOp {
  Tensor x, gamma, beta, y, stats;
  double eps;

  static LayerNormOp bind(const OpCall& call) {
    Contract c(call, 3, 3, 1, 2);
    LayerNormOp op{c.input(0), c.input(1), c.input(2), c.output(0), c.output(1), call.attributes->number("eps")};
    c.matrix(op.x, "x", op.x.rows(), op.x.cols());
    c.vector(op.gamma, "gamma", op.x.cols());
    c.vector(op.beta, "beta", op.x.cols());
    c.matrix(op.y, "y", op.x.rows(), op.x.cols());
    c.optionalMatrix(op.stats, "stats", op.x.rows(), 2);
    return op;
  }
};

struct LayerNormBackwardOp {
  Tensor dy, x, gamma, stats, dx, dgamma, dbeta;

  static LayerNormBackwardOp bind(const OpCall& call) {
    Contract c(call, 4, 4, 1, 3);
    LayerNormBackwardOp op{c.input(0), c.input(1), c.input(2), c.input(3), c.output(0), c.output(1), c.output(2)};
    const int64_t rows = op.x.rows(), hidden = op.x.cols();
    c.matrix(op.x, "x", rows, hidden);
    c.matrix(op.dy, "dy", rows, hidden);
    c.vector(op.gamma, "gamma", hidden);
    c.matrix(op.stats, "stats", rows, 2);
    c.optionalMatrix(op.dx, "dx", rows, hidden);
    c.optionalVector(op.dgamma, "dgamma", hidden);
    c.optionalVector(op.dbeta, "dbeta", hidden);
    return op;
  }
};

}  // namespace fl
