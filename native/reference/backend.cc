// The reference backend: host memory and the naive ops of this folder (ops.h), in f32 and f64. The
// backends that it is the measure of: cpu/backend.cc, cuda/backend.cc.
#include "ops/backend.h"

#include "reference/ops.h"

namespace fl {
namespace {

struct Widths {
  OpFunction f32, f64;
};

constexpr Widths kTable[] = {
#define FL_OP(name, Contract) {reference::name<float>, reference::name<double>},
#include "ops/ops.def"
};

class ReferenceBackend final : public Backend {
 public:
  Memory& memory() override { return hostMemory(); }
  std::string_view name() const override { return "reference"; }
  bool holds(BaseWeights) const override { return true; }

  OpFunction find(OpKind op, DType dtype, Precision) const override {
    const Widths& entry = kTable[static_cast<int>(op)];
    if (dtype == DType::f32) return entry.f32;
    return dtype == DType::f64 ? entry.f64 : nullptr;
  }
};

}  // namespace

Backend& referenceBackend() {
  static ReferenceBackend backend;
  return backend;
}

}  // namespace fl
