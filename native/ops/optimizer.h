// squaredNorm: out = sum_i x_i^2 in double: chunks of 65536 elements, each summed in order, then the chunks in order.
// inputs: x [n];  outputs: out [1] f64
//
// adamw: one step of AdamW with decoupled weight decay on one tensor, in place.
//   g = gradientScale * gradient
//   p = p (1 - learningRate weightDecay)
//   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
//   p = p - learningRate / c1 * m / (sqrt(v) / sqrt(c2) + eps),  c1 = 1 - beta1^t, c2 = 1 - beta2^t
// inputs: gradient [n];  outputs: p [n], m [n], v [n] (read and written)
// attributes: learningRate, beta1, beta2, eps, weightDecay, step (t, from 1), gradientScale (default 1: the clip
// factor) source: Loshchilov and Hutter 2019, arXiv 1711.05101; torch.optim.AdamW (same order of operations)
#pragma once

#include "ops/op.h"

namespace fl {

struct SquaredNormOp {
  static constexpr int64_t kChunk = 65536;
  Tensor x, out;

  static SquaredNormOp bind(const OpCall& call) {
    Contract c(call, 1, 1, 1, 1);
    SquaredNormOp op{c.input(0), c.output(0)};
    c.vector(op.x, "x", op.x.count());
    if (op.out.dtype != DType::f64 || op.out.count() != 1) c.reject("out is f64 [1], not " + op.out.describe());
    return op;
  }
};

/// What a group of tensors shares in an AdamW step.
struct OptimizerGroup {
  double learningRate, beta1, beta2, eps, weightDecay;
};

struct AdamWOp {
  Tensor gradient, p, m, v;
  double learningRate, beta1, beta2, eps, weightDecay, gradientScale, correction1, correction2;

  static AdamWOp bind(const OpCall& call) {
    Contract c(call, 1, 1, 3, 3);
    const Attributes& a = *call.attributes;
    const double step = a.number("step");
    AdamWOp op{c.input(0),
               c.output(0),
               c.output(1),
               c.output(2),
               a.number("learningRate"),
               a.number("beta1"),
               a.number("beta2"),
               a.number("eps"),
               a.number("weightDecay"),
               a.number("gradientScale", 1),
               1 - std::pow(a.number("beta1"), step),
               1 - std::pow(a.number("beta2"), step)};
    c.vector(op.gradient, "gradient", op.gradient.count());
    c.vector(op.p, "p", op.gradient.count());
    c.vector(op.m, "m", op.gradient.count());
    c.vector(op.v, "v", op.gradient.count());
    return op;
  }
};

}  // namespace fl
