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
    FL_ENTRY(add),
    FL_ENTRY(biasBackward),
    FL_ENTRY(linear),
    FL_ENTRY(linearBackwardInput),
    FL_ENTRY(linearBackwardWeight),
    FL_ENTRY(loraLinear),
    FL_ENTRY(loraLinearBackward),
    FL_ENTRY(scale),
};
#undef FL_ENTRY

class CudaBackend final : public Backend {
 public:
  Memory& memory() override { return deviceMemory(); }
  std::string_view name() const override { return "cuda"; }
  std::string_view device() const override { return Device::instance().name(); }
  void synchronize() override { Device::instance().synchronize(); }

  OpFunction find(OpKind op, DType dtype) const override {
    if (dtype != DType::f32) return nullptr;
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
