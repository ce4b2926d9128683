#include "cuda/backend.h"

#include "cuda/device.h"
#include "cuda/graph.h"
#include "cuda/memory.h"
#include "cuda/ops.h"
#include "cuda/step.h"

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

class CudaBackend final : public Backend {
 public:
  Memory& memory() override { return deviceMemory(); }
  std::string_view name() const override { return "cuda"; }
  std::string_view device() const override { return Device::instance().name(); }
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
    if (dtype != DType::f32 || precision != Precision::fp32) return nullptr;
    for (const Entry& entry : kTable)
      if (entry.kind == op) return entry.run;
    return nullptr;
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
