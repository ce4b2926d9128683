// crossEntropy: loss = sum_i l_i / D over rows with labels[i] != ignoreIndex, w = classWeights (ones when absent), e =
// labelSmoothing:
//   l_i = (1 - e) w[label_i] (-logp[i, label_i]) + e / C sum_c w[c] (-logp[i, c]),   D = sum_i w[label_i]
// With no such row the loss is 0 and every gradient is 0 (PyTorch gives NaN there).
// inputs: logits [R, C], labels [R] i32, classWeights? [C];  outputs: loss [1]
// attributes: labelSmoothing (default 0, in [0, 1)), ignoreIndex (default -100)
// source: torch.nn.functional.cross_entropy(reduction='mean')
//
// crossEntropyBackward: dlogits = lossScale * d loss / d logits.
// inputs: logits, labels, classWeights?;  outputs: dlogits [R, C];  attributes as above; lossScale comes from StepState
//
// mse: loss = mean((x - target)^2).          inputs: x [R, C], target [R, C];  outputs: loss [1]
// mseBackward: dx = lossScale 2 (x - target) / (R C).   inputs: x, target;  outputs: dx [R, C]
// source: torch.nn.functional.mse_loss
//
// bceWithLogits: each entry is a label of its own: loss = mean of max(x, 0) - x t + log(1 + exp(-|x|)), which is
// -t log p - (1 - t) log(1 - p) with p = 1 / (1 + exp(-x)); t is 0 or 1, or between.
// inputs: logits x [R, C], target t [R, C];  outputs: loss [1]
// bceWithLogitsBackward: dlogits = lossScale (p - t) / (R C).   inputs: logits, target;  outputs: dlogits [R, C]
// source: torch.nn.functional.binary_cross_entropy_with_logits(reduction='mean')
//
// Labels are checked against C by whoever makes the batch, before the step. Losses are summed in double, in row order.
#pragma once

#include "ops/op.h"

namespace fl {

struct CrossEntropyOp {
  /// out is loss [1] (forward) or dlogits [R, C] (backward).
  Tensor logits, labels, classWeights, out;
  double labelSmoothing;
  int64_t ignoreIndex;

  static CrossEntropyOp bind(const OpCall& call) {
    Contract c(call, 2, 3, 1, 1);
    CrossEntropyOp op{c.input(0),
                      c.input(1),
                      c.input(2),
                      c.output(0),
                      c.number("labelSmoothing", 0, 0, 1),
                      static_cast<int64_t>(call.attributes->number("ignoreIndex", -100))};
    const int64_t rows = op.logits.rows(), classes = op.logits.cols();
    c.matrix(op.logits, "logits", rows, classes);
    c.indices(op.labels, "labels", rows);
    c.optionalVector(op.classWeights, "classWeights", classes);
    if (call.op == OpKind::crossEntropy)
      c.vector(op.out, "loss", 1);
    else
      c.matrix(op.out, "dlogits", rows, classes);
    return op;
  }
};

struct MseOp {
  /// out is loss [1] (forward) or dx [R, C] (backward).
  Tensor x, target, out;

  static MseOp bind(const OpCall& call) {
    Contract c(call, 2, 2, 1, 1);
    MseOp op{c.input(0), c.input(1), c.output(0)};
    c.matrix(op.x, "x", op.x.rows(), op.x.cols());
    c.matrix(op.target, "target", op.x.rows(), op.x.cols());
    if (call.op == OpKind::mse)
      c.vector(op.out, "loss", 1);
    else
      c.matrix(op.out, "dx", op.x.rows(), op.x.cols());
    return op;
  }
};

struct BceWithLogitsOp {
  /// out is loss [1] (forward) or dlogits [R, C] (backward).
  Tensor logits, target, out;

  static BceWithLogitsOp bind(const OpCall& call) {
    Contract c(call, 2, 2, 1, 1);
    BceWithLogitsOp op{c.input(0), c.input(1), c.output(0)};
    const int64_t rows = op.logits.rows(), labels = op.logits.cols();
    c.matrix(op.logits, "logits", rows, labels);
    c.matrix(op.target, "target", rows, labels);
    if (call.op == OpKind::bceWithLogits)
      c.vector(op.out, "loss", 1);
    else
      c.matrix(op.out, "dlogits", rows, labels);
    return op;
  }
};

}  // namespace fl
