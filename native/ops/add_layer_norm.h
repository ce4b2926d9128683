// addLayerNorm: z = residual + dropout(x);  y = layerNorm(z): the end of both halves of a post-LN encoder layer in one
// pass. inputs: x [R, H], residual [R, H], gamma [H], beta [H], tokenIndex? [R] outputs: y [R, H], z? [R, H], stats?
// [R, 2] (z and stats: what backward needs) attributes: eps, dropout (default 0), site source: BertSelfOutput /
// RobertaOutput of transformers; torch dropout, add, layer_norm
//
// addLayerNormBackward: dz as layerNormBackward gives dx from z; dresidual = dz;  dx = dropout(dz) with the same mask.
// inputs: dy [R, H], z [R, H], gamma [H], stats [R, 2], tokenIndex? [R]
// outputs: dx? [R, H], dresidual? [R, H], dgamma? [H] acc, dbeta? [H] acc;  attributes: dropout, site
#pragma once

#include "ops/op.h"

namespace fl {

struct AddLayerNormOp {
  Tensor x, residual, gamma, beta, y, z, stats;
  double eps;
  DropoutSpec dropout;

  static AddLayerNormOp bind(const OpCall& call) {
    Contract c(call, 4, 5, 1, 3);
    AddLayerNormOp op{c.input(0),  c.input(1),  c.input(2),  c.input(3),
                      c.output(0), c.output(1), c.output(2), call.attributes->number("eps"),
                      {}};
    const int64_t rows = op.x.rows(), hidden = op.x.cols();
    c.matrix(op.x, "x", rows, hidden);
    c.matrix(op.residual, "residual", rows, hidden);
    c.vector(op.gamma, "gamma", hidden);
    c.vector(op.beta, "beta", hidden);
    c.matrix(op.y, "y", rows, hidden);
    c.optionalMatrix(op.z, "z", rows, hidden);
    c.optionalMatrix(op.stats, "stats", rows, 2);
    op.dropout = DropoutSpec::bind(c, c.input(4), rows);
    return op;
  }
};

struct AddLayerNormBackwardOp {
  Tensor dy, z, gamma, stats, dx, dresidual, dgamma, dbeta;
  DropoutSpec dropout;

  static AddLayerNormBackwardOp bind(const OpCall& call) {
    Contract c(call, 4, 5, 1, 4);
    AddLayerNormBackwardOp op{c.input(0),  c.input(1),  c.input(2),  c.input(3), c.output(0),
                              c.output(1), c.output(2), c.output(3), {}};
    const int64_t rows = op.z.rows(), hidden = op.z.cols();
    c.matrix(op.z, "z", rows, hidden);
    c.matrix(op.dy, "dy", rows, hidden);
    c.vector(op.gamma, "gamma", hidden);
    c.matrix(op.stats, "stats", rows, 2);
    c.optionalMatrix(op.dx, "dx", rows, hidden);
    c.optionalMatrix(op.dresidual, "dresidual", rows, hidden);
    c.optionalVector(op.dgamma, "dgamma", hidden);
    c.optionalVector(op.dbeta, "dbeta", hidden);
    op.dropout = DropoutSpec::bind(c, c.input(4), rows);
    return op;
  }
};

}  // namespace fl
