// addLayerNorm: z = residual + dropout(x);  y = layerNorm(z): the end of both halves of a post-LN
// encoder layer in one pass. layerNorm by itself is ops/layer_norm.h, whose formulas hold here.
// z and stats are what backward needs. source: BertSelfOutput, RobertaOutput of transformers; torch
// dropout, add, layer_norm
//
// addLayerNormBackward: dz as layerNormBackward gives dx from z; dresidual = dz;  dx = dropout(dz)
// with the same mask.
#pragma once

#include "ops/op.h"

namespace fl {

struct AddLayerNormOp {
  static constexpr Signature signature{"x [R, H], residual [R, H], gamma [H], beta [H], tokenIndex? [R] i32",
                                       "y [R, H], z? [R, H], stats? [R, 2]", "eps, dropout = 0, site = 0",
                                       "dropout in [0, 1)"};
  Tensor x, residual, gamma, beta, y, z, stats;
  double eps;
  DropoutSpec dropout;

  static AddLayerNormOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0),  c.input(1),      c.input(2),
            c.input(3),  c.output(0),     c.output(1),
            c.output(2), c.number("eps"), DropoutSpec::bind(c, c.input(4))};
  }
};

struct AddLayerNormBackwardOp {
  static constexpr Signature signature{"dy [R, H], z [R, H], gamma [H], stats [R, 2], tokenIndex? [R] i32",
                                       "dx? [R, H], dresidual? [R, H], dgamma? [H] acc, dbeta? [H] acc",
                                       "dropout = 0, site = 0", "dropout in [0, 1)"};
  Tensor dy, z, gamma, stats, dx, dresidual, dgamma, dbeta;
  DropoutSpec dropout;

  static AddLayerNormBackwardOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0),  c.input(1),  c.input(2),
            c.input(3),  c.output(0), c.output(1),
            c.output(2), c.output(3), DropoutSpec::bind(c, c.input(4))};
  }
};

}  // namespace fl
