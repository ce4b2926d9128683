// The optimizer step for backends without one of their own: squaredNorm and adamw, tensor after
// tensor. The GPU's, in a few launches, is cuda/ops/optimizer_update.cu.
#include "ops/optimizer_update.h"

#include <cmath>

#include "ops/backend.h"

namespace fl {
namespace {

/// One double on the device.
class DeviceDouble {
 public:
  explicit DeviceDouble(Memory& memory) : memory_(memory), data_(memory.allocate(sizeof(double))) {}
  ~DeviceDouble() { memory_.release(data_); }
  DeviceDouble(const DeviceDouble&) = delete;

  Tensor tensor() const { return Tensor::of(data_, DType::f64, {1}); }
  double read() const {
    double value;
    memory_.download(&value, data_, sizeof value);
    return value;
  }

 private:
  Memory& memory_;
  void* data_;
};

}  // namespace

ApplyResult updateByOps(Backend& backend, const OptimizerUpdate& update) {
  const OpFunction squaredNorm = backend.find(OpKind::squaredNorm, update.compute);
  const OpFunction adamw = backend.find(OpKind::adamw, update.compute);
  if (!squaredNorm || !adamw)
    fail("UNSUPPORTED", "backend '" + std::string(backend.name()) + "' has no optimizer for " + nameOf(update.compute));

  const Attributes none;
  const DeviceDouble out(backend.memory());
  double total = 0;
  for (size_t i = 0; i < update.items.size(); i++) {
    // What is not finite is no less known.
    if (update.part && !(update.part->squaredNorms[i] < 0)) {
      total += update.part->squaredNorms[i];
      continue;
    }
    OpCall call;
    call.op = OpKind::squaredNorm;
    call.attributes = &none;
    call.numInputs = call.numOutputs = 1;
    call.inputs[0] = update.items[i].gradient;
    call.outputs[0] = out.tensor();
    squaredNorm(call);
    total += out.read();
  }
  const double norm = std::sqrt(total);
  LossRecord loss{0, 1, 0};
  if (update.loss) backend.memory().download(&loss, update.loss, sizeof loss);
  if (!std::isfinite(norm) || loss.finite == 0) return {false, norm, loss.sum};

  const double gradientScale = clipFactor(norm, update.settings.maxGradNorm);
  std::vector<AdamWSettings> settings;
  for (const OptimizerGroup& group : update.settings.groups)
    settings.push_back(AdamWSettings::of(group, update.settings.step, gradientScale));
  const auto step = [&](const UpdatePart::Range& range) {
    const OptimizerUpdate::Item& item = update.items[static_cast<size_t>(range.item)];
    const auto part = [&](const Tensor& whole) {
      return Tensor::of(static_cast<char*>(whole.data) + range.at * sizeOf(whole.dtype), whole.dtype, {range.count});
    };
    OpCall call;
    call.op = OpKind::adamw;
    call.attributes = &none;
    call.optimizer = &settings[static_cast<size_t>(item.group)];
    call.numInputs = 1;
    call.numOutputs = 3;
    call.inputs[0] = part(item.gradient);
    call.outputs[0] = part(item.p);
    call.outputs[1] = part(item.m);
    call.outputs[2] = part(item.v);
    adamw(call);
  };
  if (const UpdatePart* part = update.part) {
    part->stepped(0);
    for (size_t k = 0; k < part->ranges.size(); k++) {
      step(part->ranges[k]);
      part->stepped(static_cast<int>(k) + 1);
    }
  } else {
    for (size_t i = 0; i < update.items.size(); i++) step({static_cast<int>(i), 0, update.items[i].gradient.count()});
  }
  backend.synchronize();
  return {true, norm, loss.sum};
}

}  // namespace fl
