// The reference backend: host memory and the naive ops of this folder, in f32 and f64.
#include "ops/backend.h"

#include <cstdlib>
#include <cstring>
#include <string>

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
  std::string_view name() const override { return "reference"; }

  OpFunction find(OpKind op, DType dtype) const override {
    const Entry& entry = kTable[static_cast<int>(op)];
    if (dtype == DType::f32) return entry.f32;
    return dtype == DType::f64 ? entry.f64 : nullptr;
  }

  void* allocate(size_t bytes) override {
    constexpr size_t kAlignment = 64;
    const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    void* memory = rounded < bytes ? nullptr : std::aligned_alloc(kAlignment, rounded == 0 ? kAlignment : rounded);
    if (memory == nullptr) fail("OUT_OF_MEMORY", "can not allocate " + std::to_string(bytes) + " bytes of memory");
    std::memset(memory, 0, bytes);
    return memory;
  }
  void release(void* memory) override { std::free(memory); }
  void upload(void* device, const void* host, size_t bytes) override { copy(device, host, bytes); }
  void download(void* host, const void* device, size_t bytes) override { copy(host, device, bytes); }
  void zero(void* device, size_t bytes) override {
    if (bytes > 0) std::memset(device, 0, bytes);
  }

 private:
  // memcpy of nothing from a null pointer is undefined.
  static void copy(void* to, const void* from, size_t bytes) {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
};

}  // namespace

Backend& referenceBackend() {
  static ReferenceBackend backend;
  return backend;
}

}  // namespace fl
