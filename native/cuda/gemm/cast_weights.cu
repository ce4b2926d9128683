#include "cuda/gemm/cast_weights.h"

#include "cuda/ops/elements.cuh"
#include "cuda/device/memory.h"
#include "cuda/gemm/cast_copies.cuh"
#include "runtime/parameter.h"

namespace fl::cuda {
namespace {

/// Key of Parameter::derived.
constexpr int kRoundedKey = 1;

struct RoundChunks {
  Rounding rounding;
  __device__ void operator()(int64_t chunk) const { roundChunk(rounding, chunk); }
};

void round(const char* op, const Tensor& W, uint16_t* to) {
  const RoundChunks function{{W.rows(), static_cast<int>(W.cols()), W.as<float>(), to}};
  forElements(op, function.rounding.chunks(), function);
}

}  // namespace

int64_t roundedCount(int64_t rows, int64_t cols) { return rows * (paddedColsBf16(static_cast<int>(cols)) / 2); }

bool keepsRoundedCopy(const Tensor& W) {
  // A value that was released can only be read through its copy, whoever trained it elsewhere.
  using Slot = Parameter::Slot;
  return W.parameter != nullptr && (!W.parameter->has(Slot::value) || !W.parameter->has(Slot::gradient));
}

std::shared_ptr<const void> roundedCopy(const Tensor& W) {
  return W.parameter->derived(kRoundedKey, [&W](const Tensor& value) -> std::shared_ptr<const void> {
    if (value.data == nullptr) fail("INTERNAL", W.parameter->name() + ": its values are not on the device");
    const auto count = static_cast<size_t>(roundedCount(value.rows(), value.cols()));
    const std::shared_ptr<void> copy(deviceMemory().allocate(count * sizeof(float)),
                                     [](void* memory) { deviceMemory().release(memory); });
    round("rounding a weight", value, static_cast<uint16_t*>(copy.get()));
    return copy;
  });
}

RoundedWeight::RoundedWeight(const char* op, const Tensor& W, float* scratch) {
  if (keepsRoundedCopy(W)) {
    kept_ = roundedCopy(W);
    data_ = kept_.get();
  } else {
    round(op, W, reinterpret_cast<uint16_t*>(scratch));
    data_ = scratch;
  }
}

}  // namespace fl::cuda
