// The CUDA backend: fp32 operands on one GPU (cuda/device/), ops from cuda/ops/ and
// cuda/attention/, steps recorded by cuda/graph/. What a caller may ask of it is cuda/backend.h.
#include "cuda/backend.h"

#include "cuda/device/device.h"
#include "cuda/device/memory.h"
#include "cuda/gemm/held_weights.h"
#include "cuda/graph/graph.h"
#include "cuda/graph/step.h"
#include "cuda/hopper/product_sm90a.h"
#include "cuda/ops.h"
#include "cuda/ops/linear_group.h"

namespace fl {
namespace cuda {
namespace {

constexpr OpFunction kTable[] = {
#define FL_OP(name, Contract) cuda::name,
#include "ops/ops.def"
};

class CudaBackend final : public Backend {
 public:
  Memory& memory() override { return deviceMemory(); }
  std::string_view name() const override { return "cuda"; }
  std::string_view device() const override { return Device::instance().name(); }
  bool hasBf16Instructions() const override { return true; }
  bool holds(BaseWeights) const override { return true; }
  ApplyResult update(const OptimizerUpdate& update) override { return cuda::update(update); }
  void synchronize() override { Device::instance().synchronize(); }
  void upload(std::span<const HostCopy> copies) override { uploadTogether(copies); }
  void zero(std::span<const Tensor> tensors) override { cuda::zero(tensors); }
  void noteLoss(const Tensor& loss, const StepState& step, bool first, LossRecord* record) override {
    cuda::noteLoss(loss, step, first, record);
  }
  std::unique_ptr<Recorder> recorder() override { return makeRecorder(); }
  double time(const std::function<void()>& work) override { return Device::instance().time(work); }

  OpFunction find(OpKind op, DType dtype, Precision precision) const override {
    if (precision == Precision::bf16) hopper::wanted();  // throws where the path can not be had
    return dtype == DType::f32 ? kTable[static_cast<size_t>(op)] : nullptr;
  }

  int together(std::span<const Neighbour> next, std::span<const int> readers) const override {
    return linearGroup(next, readers);
  }
  void runTogether(std::span<const OpCall> calls) override { runLinearGroup(calls); }

  bool prepare(const OpCall& call, int input) override {
    using Packing = OperandSpec::Packing;
    const Tensor& W = call.inputs[static_cast<size_t>(input)];
    const Packing packing = signatureOf(call.op).input(input).packing;
    if (packing == Packing::none || W.dtype != DType::f32 || W.parameter == nullptr || !keepsCastCopy(W)) return false;
    const BaseWeights form = bindBaseWeights(call.op, *call.attributes);
    if (call.op == OpKind::embeddingSum && form == BaseWeights::fp32) return false;
    if (form != BaseWeights::fp32) {
      keepHeld(W, form, packing == Packing::forward ? Layout::nt : Layout::nn);
      return true;
    }
    if (bindPrecision(call.op, *call.attributes) != Precision::bf16) return false;
    castCopy(W);
    return true;
  }
};

}  // namespace
}  // namespace cuda

Backend& cudaBackend() {
  cuda::requireHealthy();
  try {
    cuda::Device::instance();
  } catch (const Error& error) {
    if (error.code() != "DEVICE_UNAVAILABLE") throw;
    fail("DEVICE_UNAVAILABLE", "device 'cuda' can not be used: " + std::string(error.what()) + ", or use device 'cpu'");
  }
  static Backend& backend = *new cuda::CudaBackend;
  return backend;
}

}  // namespace fl
