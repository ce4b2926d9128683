// layerNorm: y = (x - mean) rstd * gamma + beta, rstd = 1 / sqrt(variance + eps), mean and (biased)
// variance over the row; stats: mean and rstd, which backward needs. With an addition:
// add_layer_norm.h.
// source: torch.nn.functional.layer_norm (Ba, Kiros, Hinton 2016)
//
// layerNormBackward, with xhat = (x - mean) rstd and g = dy * gamma:
//   dx = rstd (g - mean_row(g) - xhat mean_row(g xhat))
//   dgamma += sum_rows dy xhat,  dbeta += sum_rows dy
// Sums over rows: chunks of 256 rows, each summed in order, then the chunks in order.
#pragma once

#include "ops/op.h"

namespace fl {

struct LayerNormOp {
  static constexpr Signature signature{"x [R, H], gamma [H], beta [H]", "y [R, H], stats? [R, 2]", "eps"};
  Tensor x, gamma, beta, y, stats;
  double eps;

  static LayerNormOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0), c.input(1), c.input(2), c.output(0), c.output(1), c.number("eps")};
  }
};

struct LayerNormBackwardOp {
  static constexpr Signature signature{"dy [R, H], x [R, H], gamma [H], stats [R, 2]",
                                       "dx? [R, H], dgamma? [H] acc, dbeta? [H] acc"};
  Tensor dy, x, gamma, stats, dx, dgamma, dbeta;

  static LayerNormBackwardOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0), c.input(1), c.input(2), c.input(3), c.output(0), c.output(1), c.output(2)};
  }
};

}  // namespace fl
