// crossEntropy, mse, bceWithLogits: the losses of a batch, and their gradients, where a backward
// pass starts. What is done with the numbers afterwards (clipping, the step): ops/optimizer.h.
//
// crossEntropy: loss = sum_i l_i / D over rows with labels[i] != ignoreIndex, w = classWeights
// (ones when absent), e = labelSmoothing:
//   l_i = (1 - e) w[label_i] (-logp[i, label_i]) + e / C sum_c w[c] (-logp[i, c])
//   D = sum_i w[label_i]
// With no such row the loss is 0 and every gradient is 0 (PyTorch gives NaN there).
// source: torch.nn.functional.cross_entropy(reduction='mean')
// crossEntropyBackward: dlogits = lossScale * d loss / d logits; lossScale comes from StepState.
//
// mse: loss = mean((x - target)^2).     mseBackward: dx = lossScale 2 (x - target) / (R C).
// source: torch.nn.functional.mse_loss
//
// bceWithLogits: each entry is a label of its own, x = logits, t = target is 0 or 1, or between:
//   loss = mean of max(x, 0) - x t + log(1 + exp(-|x|)), which is -t log p - (1 - t) log(1 - p)
//   with p = 1 / (1 + exp(-x))
// bceWithLogitsBackward: dlogits = lossScale (p - t) / (R C).
// source: torch.nn.functional.binary_cross_entropy_with_logits(reduction='mean')
//
// Losses are summed in double, in row order.
#pragma once

#include "ops/op.h"

namespace fl {

struct CrossEntropyOp {
  static constexpr Signature signature{"logits [R, C], labels [R] i32 < C or ignoreIndex, classWeights? [C]",
                                       "loss [1]", "labelSmoothing = 0, ignoreIndex = -100",
                                       "labelSmoothing in [0, 1)"};
  /// out is loss [1] (forward) or dlogits [R, C] (backward).
  Tensor logits, labels, classWeights, out;
  double labelSmoothing;
  int64_t ignoreIndex;

  static CrossEntropyOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0),
            c.input(1),
            c.input(2),
            c.output(0),
            c.number("labelSmoothing"),
            c.integer("ignoreIndex", INT32_MIN, INT32_MAX)};
  }
};

struct CrossEntropyBackwardOp : CrossEntropyOp {
  static constexpr Signature signature{"logits [R, C], labels [R] i32 < C or ignoreIndex, classWeights? [C]",
                                       "dlogits [R, C]", "labelSmoothing = 0, ignoreIndex = -100",
                                       "labelSmoothing in [0, 1)"};
};

struct MseOp {
  static constexpr Signature signature{"x [R, C], target [R, C]", "loss [1]"};
  /// out is loss [1] (forward) or dx [R, C] (backward).
  Tensor x, target, out;

  static MseOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0), c.input(1), c.output(0)};
  }
};

struct MseBackwardOp : MseOp {
  static constexpr Signature signature{"x [R, C], target [R, C]", "dx [R, C]"};
};

struct BceWithLogitsOp {
  static constexpr Signature signature{"logits [R, C], target [R, C]", "loss [1]"};
  /// out is loss [1] (forward) or dlogits [R, C] (backward).
  Tensor logits, target, out;

  static BceWithLogitsOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0), c.input(1), c.output(0)};
  }
};

struct BceWithLogitsBackwardOp : BceWithLogitsOp {
  static constexpr Signature signature{"logits [R, C], target [R, C]", "dlogits [R, C]"};
};

}  // namespace fl
