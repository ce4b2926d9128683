// Kernels of a step that belong to no op: gradients set to zero together, the loss noted on the
// device. The optimizer's are in cuda/ops/optimizer_update.cu.
#include "cuda/graph/step.h"

#include "cuda/device/launch.h"
#include "cuda/gemm/selection.h"
#include "cuda/graph/step_block.h"

namespace fl::cuda {
namespace {

constexpr int kThreads = 256;
/// Tensors of one launch: 20 bytes of a kernel's parameters each.
constexpr int kMostZeroed = 160;

/// Tensors by their 4-byte words, in chunks of kTensorChunk.
struct ZeroList {
  int count = 0;
  int64_t firstChunk[kMostZeroed + 1] = {};
  int64_t words[kMostZeroed] = {};
  uint32_t* data[kMostZeroed] = {};
};

/// Grid: chunks of the list.
__global__ void __launch_bounds__(kThreads) zeroChunks(const ZeroList list) {
  const TensorChunk chunk = tensorChunk(list.firstChunk, list.count, blockIdx.x);
  const int64_t rest = list.words[chunk.tensor] - chunk.begin;
  const int64_t end = chunk.begin + (rest < kTensorChunk ? rest : kTensorChunk);
  uint32_t* const data = list.data[chunk.tensor];
  for (int64_t i = chunk.begin + threadIdx.x; i < end; i += kThreads) data[i] = 0;
}

/// One thread.
__global__ void addLoss(const float* loss, const StepScale scale, bool first, LossRecord* record) {
  const double value = *loss;
  record->sum = (first ? 0.0 : record->sum) + value * scale.value();
  const bool finite = fabs(value) < INFINITY;  // false for NaN too
  record->finite = finite && (first || record->finite != 0) ? 1 : 0;
}

void launchList(const ZeroList& list) {
  const char* const name = "zeroing gradients";
  if (list.count > 0) launch(name, zeroChunks, dim3(blocks(name, list.firstChunk[list.count])), kThreads, list);
}

}  // namespace

void zero(std::span<const Tensor> tensors) {
  ZeroList list;
  for (const Tensor& tensor : tensors) {
    if (tensor.bytes() == 0) continue;
    if (list.count == kMostZeroed) {
      launchList(list);
      list = {};
    }
    const int t = list.count++;
    list.words[t] = tensor.bytes() / 4;
    list.data[t] = tensor.as<uint32_t>();
    list.firstChunk[t + 1] = list.firstChunk[t] + ceilDivide(list.words[t], kTensorChunk);
  }
  launchList(list);
}

void noteLoss(const Tensor& loss, const StepState& step, bool first, LossRecord* record) {
  launch("the loss", addLoss, dim3(1), 1, loss.as<float>(), StepScale::of(step, 1), first, record);
}

}  // namespace fl::cuda
