#include "cuda/backend.h"

#include "cuda/device.h"
#include "cuda/memory.h"
#include "cuda/ops.h"

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
  cuda::Device::instance();
  static Backend& backend = *new cuda::CudaBackend;
  return backend;
}

}  // namespace fl
