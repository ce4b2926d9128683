// The CPU backend: f32 operands, products of both precisions, every instruction set of
// cpu/simd/isa.h, all threads of runtime/thread_pool.h. What it calls is in cpu/ops/ and
// cpu/attention/.
#include "ops/backend.h"

#include "cpu/dispatch.h"
#include "cpu/gemm/linear_parts.h"
#include "cpu/ops.h"
#include "cpu/ops/side_by_side.h"
#include "cpu/rows/int8_table.h"
#include "runtime/memory.h"

namespace fl {
namespace cpu {
namespace {

constexpr OpFunction kTable[] = {
#define FL_OP(name, Contract) cpu::name,
#include "ops/ops.def"
};

class CpuBackend final : public Backend {
 public:
  Memory& memory() override { return hostMemory(); }
  std::string_view name() const override { return "cpu"; }

  bool hasBf16Instructions() const override { return selectedIsa() >= Isa::avx512bf16; }
  bool holds(BaseWeights) const override { return true; }

  OpFunction find(OpKind op, DType dtype, Precision) const override {
    return dtype == DType::f32 ? kTable[static_cast<size_t>(op)] : nullptr;
  }

  bool runSideBySide(std::span<const OpCall> calls) override {
    cpu::runSideBySide(calls);
    return true;
  }

  ChunkNorm chunkNorm() const override { return rowKernels().squaredNorm; }

  bool prepare(const OpCall& call, int input) override {
    using Packing = OperandSpec::Packing;
    const Tensor& W = call.inputs[static_cast<size_t>(input)];
    const Packing packing = signatureOf(call.op).input(input).packing;
    if (packing == Packing::none || W.parameter == nullptr || W.dtype != DType::f32) return false;
    const BaseWeights weights = bindBaseWeights(call.op, *call.attributes);
    if (call.op == OpKind::embeddingSum) {
      if (weights == BaseWeights::int8) int8Table(W);
      return weights == BaseWeights::int8;
    }
    Product product(kernelsFor(bindPrecision(call.op, *call.attributes)));
    setWeight(product, W, packing == Packing::forward ? WeightUse::forward : WeightUse::backward, weights);
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
