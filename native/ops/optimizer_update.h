// One optimizer step over all trained tensors: the norm of all gradients together, clipping by it,
// AdamW (ops/optimizer.h) on each. A norm that is not finite changes nothing. By program/run.cc,
// once a step.
#pragma once

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
