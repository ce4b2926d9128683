// squaredNorm and adamw: what an optimizer step does to one tensor. The step over all tensors, with
// the norm of all gradients and clipping by it: ops/optimizer_update.h.
//
// squaredNorm: out = sum_i x_i^2 in double: chunks of 65536 elements, each summed in order, then
// the chunks in order.
//
// adamw: one step of AdamW with decoupled weight decay, in place: p, m and v are read and written.
//   g = gradientScale * gradient
//   p = p (1 - learningRate weightDecay)
//   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
//   p = p - learningRate / c1 * m / (sqrt(v) / sqrt(c2) + eps),  c1 = 1 - beta1^t, c2 = 1 - beta2^t
// Its settings are OpCall::optimizer. source: Loshchilov and Hutter 2019, arXiv 1711.05101;
// torch.optim.AdamW (same order of operations)
#pragma once

#include "ops/op.h"

namespace fl {

struct SquaredNormOp {
  static constexpr Signature signature{"x [n]", "out [1] f64"};
  static constexpr int64_t kChunk = 65536;
  Tensor x, out;

  static SquaredNormOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0), c.output(0)};
  }
};

/// What the trainer sets for a group of tensors, as OptimizerGroup of src/native.ts.
struct OptimizerGroup {
  double learningRate, beta1, beta2, eps, weightDecay;
};

/// A group's settings in one step: what is the same for all of its tensors is worked out once.
struct AdamWSettings : OptimizerGroup {
  double correction1, correction2;
  /// The clip factor.
  double gradientScale;

  /// @param step t, from 1.
  static AdamWSettings of(const OptimizerGroup& group, double step, double gradientScale = 1) {
    return {group, 1 - std::pow(group.beta1, step), 1 - std::pow(group.beta2, step), gradientScale};
  }
};

struct AdamWOp {
  static constexpr Signature signature{"gradient [n]", "p [n] acc, m [n] acc, v [n] acc"};
  Tensor gradient, p, m, v;
  const AdamWSettings& settings;

  static AdamWOp bind(const OpCall& call) {
    const Contract c(call);
    if (call.optimizer == nullptr) fail("INVALID_ARGUMENT", "adamw: has no settings; a program's `apply` runs it");
    return {c.input(0), c.output(0), c.output(1), c.output(2), *call.optimizer};
  }
};

}  // namespace fl
