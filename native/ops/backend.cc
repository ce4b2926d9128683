// What backends have in common where they have nothing better: refusals, the note of a loss, a
// clock. The class is ops/backend.h; which backends there are: program/backends.cc.
#include "ops/backend.h"

#include <chrono>
#include <cmath>
#include <string>

namespace fl {

OpFunction Backend::require(OpKind op, DType dtype, const Attributes& attributes, const std::string& where) const {
  const Precision precision = bindPrecision(op, attributes);
  const BaseWeights weights = bindBaseWeights(op, attributes);
  if (!holds(weights))
    fail("UNSUPPORTED", "backend '" + std::string(name()) + "' takes no " + std::string(nameOf(weights)) +
                            " weights; leave baseWeights (--base-weights) at fp32, or take device cpu" + where);
  if (const OpFunction function = find(op, dtype, precision)) return function;
  const std::string what = "backend '" + std::string(name()) + "' does not implement " + std::string(nameOf(op));
  if (precision == Precision::bf16 && find(op, dtype))
    fail("UNSUPPORTED", what + " with bf16 products; take precision fp32" + where);
  fail("UNSUPPORTED", what + " in " + nameOf(dtype) + where);
}

void Backend::noteLoss(const Tensor& loss, const StepState& step, bool first, LossRecord* record) {
  const double value = loss.dtype == DType::f64 ? *loss.as<double>() : *loss.as<float>();
  if (first) *record = {0, 1, 0};
  record->sum += value * step.lossScale;
  record->finite = record->finite != 0 && std::isfinite(value) ? 1 : 0;
}

double Backend::time(const std::function<void()>& work) {
  synchronize();
  const auto start = std::chrono::steady_clock::now();
  work();
  synchronize();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace fl
