// Makes bf16 copies of weights: one kept with the parameter while nothing trains it, else one for
// this call. The cast of a chunk is in cast_copies.cuh, the products that read it in
// product_bf16.cu.
#include "cuda/gemm/cast_weights.h"

#include "cuda/device/launch.h"
#include "cuda/device/memory.h"
#include "cuda/gemm/cast_copies.cuh"
#include "runtime/parameter.h"

namespace fl::cuda {
namespace {

/// Key of Parameter::derived.
constexpr int kCastKey = 1;

constexpr int kThreads = 256;

/// Grid: chunks of the largest; copies.
__global__ void __launch_bounds__(kThreads) castAll(const __grid_constant__ Casts casts) {
  const Cast& c = casts.each[blockIdx.y];
  const int64_t chunk = blockIdx.x * int64_t{kThreads} + threadIdx.x;
  if (chunk < c.chunks()) castChunk(c, chunk);
}

void cast(const char* op, const Tensor& W, float* to) {
  Casts casts;
  casts.add(castOf(W, to));
  run(op, casts);
}

}  // namespace

int64_t castCount(int64_t rows, int64_t cols) { return rows * (paddedColsBf16(static_cast<int>(cols)) / 2); }

Cast castOf(const Tensor& from, float* to) {
  return {from.rows(), static_cast<int>(from.cols()), from.as<float>(), reinterpret_cast<uint16_t*>(to)};
}

void run(const char* op, const Casts& casts) {
  int64_t most = 0;
  for (int i = 0; i < casts.count; i++) most = std::max(most, casts.each[i].chunks());
  if (most == 0) return;
  launch(op, castAll, dim3(blocks(op, ceilDivide(most, kThreads)), static_cast<unsigned>(casts.count)), kThreads,
         casts);
}

bool keepsCastCopy(const Tensor& W) {
  // A value that was released can only be read through its copy, whoever trained it elsewhere.
  using Slot = Parameter::Slot;
  return W.parameter != nullptr && (!W.parameter->has(Slot::value) || !W.parameter->has(Slot::gradient));
}

std::shared_ptr<const void> castCopy(const Tensor& W) {
  return W.parameter->derived(kCastKey, [&W](const Tensor& value) -> std::shared_ptr<const void> {
    if (value.data == nullptr) fail("INTERNAL", W.parameter->name() + ": its values are not on the device");
    const auto count = static_cast<size_t>(castCount(value.rows(), value.cols()));
    const std::shared_ptr<void> copy(deviceMemory().allocate(count * sizeof(float)),
                                     [](void* memory) { deviceMemory().release(memory); });
    cast("casting a weight", value, static_cast<float*>(copy.get()));
    return copy;
  });
}

CastWeight::CastWeight(const char* op, const Tensor& W, float* scratch) {
  if (keepsCastCopy(W)) {
    kept_ = castCopy(W);
    data_ = kept_.get();
  } else {
    cast(op, W, scratch);
    data_ = scratch;
  }
}

}  // namespace fl::cuda
