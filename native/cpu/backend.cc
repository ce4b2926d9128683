// The CPU backend: f32 operands, products of both precisions, every instruction set of cpu/simd/isa.h, all threads of
// runtime/thread_pool.h.
#include "ops/backend.h"

#include "cpu/dispatch.h"
#include "cpu/gemm/panels.h"
#include "cpu/ops.h"
#include "runtime/memory.h"

namespace fl {
namespace cpu {
namespace {

struct Entry {
  OpKind kind;
  OpFunction run;
};

#define FL_ENTRY(op) \
  { OpKind::op, cpu::op }
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

/// W of an op whose products read packed copies only; -1 for an op without one.
int packedInput(OpKind op) {
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

class CpuBackend final : public Backend {
 public:
  Memory& memory() override { return hostMemory(); }
  std::string_view name() const override { return "cpu"; }

  bool hasBf16Instructions() const override { return selectedIsa() == Isa::avx512bf16; }

  OpFunction find(OpKind op, DType dtype, Precision) const override {
    return dtype == DType::f32 ? kTable[static_cast<int>(op)].run : nullptr;
  }

  bool prepare(const OpCall& call, int input) override {
    const Tensor& W = call.inputs[static_cast<size_t>(input)];
    if (input != packedInput(call.op) || W.parameter == nullptr || W.dtype != DType::f32) return false;
    const Kernels& kernels = kernelsFor(bindPrecision(call.op, *call.attributes));
    const bool forward = call.op == OpKind::linear || call.op == OpKind::loraLinear;
    weightPanels(kernels, W, forward ? WeightUse::forward : WeightUse::backward, WorkspaceSlot::weightPanels);
    return true;
  }
};

}  // namespace

}  // namespace cpu

Backend& cpuBackend() {
  static cpu::CpuBackend backend;
  return backend;
}

}  // namespace fl
