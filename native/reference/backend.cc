// The reference backend: host memory and the naive ops of this folder, in f32 and f64.
#include "ops/backend.h"

#include "reference/ops.h"

namespace fl {
namespace {

struct Entry {
  OpKind kind;
  OpFunction f32, f64;
};

#define FL_ENTRY(op) \
  { OpKind::op, reference::op<float>, reference::op<double> }
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

constexpr bool tableFollowsOpKind() {
  for (int i = 0; i < kOpCount; i++)
    if (kTable[i].kind != static_cast<OpKind>(i)) return false;
  return true;
}
static_assert(sizeof(kTable) / sizeof(kTable[0]) == kOpCount && tableFollowsOpKind());

class ReferenceBackend final : public Backend {
 public:
  Memory& memory() override { return hostMemory(); }
  std::string_view name() const override { return "reference"; }

  OpFunction find(OpKind op, DType dtype, Precision) const override {
    const Entry& entry = kTable[static_cast<int>(op)];
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
