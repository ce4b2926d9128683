// One optimizer step over all trained tensors: the norm of all gradients together, clipping by it,
// AdamW (ops/optimizer.h) on each. A norm that is not finite changes nothing. By program/run.cc,
// once a step.
#pragma once

#include <functional>
#include <vector>

#include "ops/optimizer.h"

namespace fl {

class Backend;
struct LossRecord;

/// What the trainer sets for a step.
struct OptimizerSettings {
  std::vector<OptimizerGroup> groups;
  /// t of the bias correction, from 1.
  double step = 1;
  /// 0: no clipping.
  double maxGradNorm = 0;
};

/// What one process does of an optimizer step that several divide.
struct UpdatePart {
  /// Values of an item.
  struct Range {
    int item;
    int64_t at, count;
  };
  /// What is stepped here, in this order; the rest is not touched.
  std::vector<Range> ranges;
  /// Of each item, the squared norm of its whole gradient; below 0 where it is whole here.
  std::vector<double> squaredNorms;
  /// Called when the step will be taken, with 0, and then with the number of ranges that are done.
  std::function<void(int ranges)> stepped;
};

struct OptimizerUpdate {
  struct Item {
    Tensor gradient, p, m, v;  // [n] each
    int group = 0;
  };
  std::vector<Item> items;
  OptimizerSettings settings;
  /// In the backend's memory: where it is not finite, nothing may change. Null: there was no loss.
  const LossRecord* loss = nullptr;
  DType compute = DType::f32;
  /// Null: all of it is done here. For `updateByOps` alone.
  const UpdatePart* part = nullptr;
};

struct ApplyResult {
  bool applied;
  double gradientNorm;
  /// Of the loss record; 0 without one.
  double loss = 0;
};

/// Factor on the gradients; torch.nn.utils.clip_grad_norm_ divides by norm + 1e-6.
FL_HOST_DEVICE inline double clipFactor(double norm, double maxGradNorm) {
  const double factor = maxGradNorm > 0 ? maxGradNorm / (norm + 1e-6) : 1.0;
  return factor < 1.0 ? factor : 1.0;
}

/// By the backend's ops squaredNorm and adamw, tensor after tensor.
ApplyResult updateByOps(Backend& backend, const OptimizerUpdate& update);

}  // namespace fl
