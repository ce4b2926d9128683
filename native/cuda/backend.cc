#include "cuda/backend.h"

#include "cuda/device/device.h"
#include "cuda/graph/graph.h"
#include "cuda/device/memory.h"
#include "cuda/ops.h"
#include "cuda/gemm/cast_weights.h"
#include "cuda/graph/step.h"

namespace fl {
namespace cuda {
namespace {

struct Entry {
  OpKind kind;
  OpFunction run;
};

#define FL_ENTRY(op) \
  { OpKind::op, cuda::op }
constexpr Entry kTable[] = {
    FL_ENTRY(activation),
    FL_ENTRY(activationBackward),
    FL_ENTRY(adamw),
    FL_ENTRY(add),
    FL_ENTRY(addLayerNorm),
    FL_ENTRY(addLayerNormBackward),
    FL_ENTRY(attention),
    FL_ENTRY(attentionBackward),
    FL_ENTRY(bceWithLogits),
    FL_ENTRY(bceWithLogitsBackward),
    FL_ENTRY(biasBackward),
    FL_ENTRY(crossEntropy),
    FL_ENTRY(crossEntropyBackward),
    FL_ENTRY(dropout),
    FL_ENTRY(embeddingBackward),
    FL_ENTRY(embeddingSum),
    FL_ENTRY(gatherRows),
    FL_ENTRY(gatherRowsBackward),
    FL_ENTRY(layerNorm),
    FL_ENTRY(layerNormBackward),
    FL_ENTRY(linear),
    FL_ENTRY(linearBackwardInput),
    FL_ENTRY(linearBackwardWeight),
    FL_ENTRY(loraLinear),
    FL_ENTRY(loraLinearBackward),
    FL_ENTRY(mse),
    FL_ENTRY(mseBackward),
    FL_ENTRY(scale),
    FL_ENTRY(squaredNorm),
};
#undef FL_ENTRY

/// W of an op that multiplies by its bf16 copy; -1 for an op without one.
int weightInput(OpKind op) {
  switch (op) {
    case OpKind::linear:
    case OpKind::linearBackwardInput:
    case OpKind::loraLinear:
      return 1;
    case OpKind::loraLinearBackward:
      return 3;
    default:
      return -1;
  }
}

class CudaBackend final : public Backend {
 public:
  Memory& memory() override { return deviceMemory(); }
  std::string_view name() const override { return "cuda"; }
  std::string_view device() const override { return Device::instance().name(); }
  bool hasBf16Instructions() const override { return true; }
  ApplyResult update(const OptimizerUpdate& update) override { return cuda::update(update); }
  void synchronize() override { Device::instance().synchronize(); }
  void upload(std::span<const HostCopy> copies) override { uploadTogether(copies); }
  void zero(std::span<const Tensor> tensors) override { cuda::zero(tensors); }
  void noteLoss(const Tensor& loss, const StepState& step, bool first, LossRecord* record) override {
    cuda::noteLoss(loss, step, first, record);
  }
  std::unique_ptr<Recorder> recorder() override { return makeRecorder(); }
  double time(const std::function<void()>& work) override { return Device::instance().time(work); }

  OpFunction find(OpKind op, DType dtype, Precision) const override {
    if (dtype != DType::f32) return nullptr;
    for (const Entry& entry : kTable)
      if (entry.kind == op) return entry.run;
    return nullptr;
  }

  bool prepare(const OpCall& call, int input) override {
    const Tensor& W = call.inputs[static_cast<size_t>(input)];
    if (input != weightInput(call.op) || W.dtype != DType::f32 || W.parameter == nullptr || !keepsCastCopy(W) ||
        bindPrecision(call.op, *call.attributes) != Precision::bf16)
      return false;
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
