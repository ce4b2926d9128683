// The optimizer step over all tensors: partial sums of squares; their sum, the clip factor and
// whether to go on, on the device; AdamW, which reads both from there. Lists of tensors travel as
// kernel parameters. The element's arithmetic is adamw.cuh's, what a step is
// ops/optimizer_update.h's.
#include "ops/optimizer_update.h"

#include "cuda/device/memory.h"
#include "cuda/gemm/selection.h"
#include "cuda/ops.h"
#include "cuda/ops/adamw.cuh"
#include "cuda/ops/double_sums.cuh"
#include "ops/backend.h"

namespace fl::cuda {
namespace {

struct TensorList {
  int count = 0;
  int64_t firstChunk[kMostTensors + 1] = {};
  int64_t elements[kMostTensors] = {};
  AdamWTensor tensor[kMostTensors] = {};
  AdamWStep step[kMostTensors] = {};

  int64_t chunks() const { return firstChunk[count]; }
};
static_assert(sizeof(TensorList) <= 3900, "kernel parameters are 4 KiB at most");

/// What the norm decides.
struct Decision {
  double norm, loss;
  float gradientScale;
  int apply;
};

/// Grid: chunks of the list.
__global__ void __launch_bounds__(SumTeam::kThreads) squareChunks(const TensorList list, double* partials) {
  const TensorChunk chunk = tensorChunk(list.firstChunk, list.count, blockIdx.x);
  const float* const gradient = list.tensor[chunk.tensor].gradient;
  const int64_t rest = list.elements[chunk.tensor] - chunk.begin;
  const int64_t end = chunk.begin + (rest < kTensorChunk ? rest : kTensorChunk);
  const double sum = sumTerms(
      [=](int64_t i) {
        const double g = gradient[i];
        return g * g;
      },
      chunk.begin, end);
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

/// One block.
__global__ void __launch_bounds__(SumTeam::kThreads)
    decide(const double* partials, int64_t chunks, double maxGradNorm, const LossRecord* loss, Decision* decision) {
  const double sum = sumTerms([=](int64_t i) { return partials[i]; }, 0, chunks);
  if (threadIdx.x > 0) return;
  const double norm = sqrt(sum);
  const bool finite = norm < INFINITY;  // false for NaN too
  *decision = {norm, loss ? loss->sum : 0.0, static_cast<float>(clipFactor(norm, maxGradNorm)),
               finite && (loss == nullptr || loss->finite != 0) ? 1 : 0};
}

/// Grid: chunks of the list.
__global__ void __launch_bounds__(SumTeam::kThreads) adamwChunks(const TensorList list, const Decision* decision) {
  if (decision->apply == 0) return;
  const float gradientScale = decision->gradientScale;
  const TensorChunk chunk = tensorChunk(list.firstChunk, list.count, blockIdx.x);
  const AdamWTensor tensor = list.tensor[chunk.tensor];
  const AdamWStep step = list.step[chunk.tensor];
  const int64_t rest = list.elements[chunk.tensor] - chunk.begin;
  const int64_t end = chunk.begin + (rest < kTensorChunk ? rest : kTensorChunk);
  for (int64_t i = chunk.begin + threadIdx.x; i < end; i += SumTeam::kThreads)
    adamwElement(tensor, step, gradientScale, i);
}

std::vector<TensorList> listsOf(const OptimizerUpdate& update) {
  std::vector<AdamWStep> steps;
  for (const OptimizerGroup& group : update.settings.groups)
    steps.push_back(adamwStep(AdamWSettings::of(group, update.settings.step)));
  std::vector<TensorList> lists;
  for (const OptimizerUpdate::Item& item : update.items) {
    if (lists.empty() || lists.back().count == kMostTensors) lists.emplace_back();
    TensorList& list = lists.back();
    const int t = list.count++;
    list.elements[t] = item.gradient.count();
    list.firstChunk[t + 1] = list.firstChunk[t] + ceilDivide(list.elements[t], kTensorChunk);
    list.tensor[t] = {item.gradient.as<float>(), item.p.as<float>(), item.m.as<float>(), item.v.as<float>()};
    list.step[t] = steps[static_cast<size_t>(item.group)];
  }
  return lists;
}

}  // namespace

ApplyResult update(const OptimizerUpdate& update) {
  const char* const name = "the optimizer step";
  const std::vector<TensorList> lists = listsOf(update);
  int64_t chunks = 0;
  for (const TensorList& list : lists) chunks += list.chunks();
  constexpr int64_t kDecisionFloats = sizeof(Decision) / sizeof(float);
  const Device::Scratch scratch = Device::instance().scratch(kDecisionFloats + 2 * chunks);
  auto* const decision = reinterpret_cast<Decision*>(scratch.data());
  auto* const partials = reinterpret_cast<double*>(scratch.data() + kDecisionFloats);

  int64_t before = 0;
  for (const TensorList& list : lists) {
    launch(name, squareChunks, dim3(blocks(name, list.chunks())), SumTeam::kThreads, list, partials + before);
    before += list.chunks();
  }
  launch(name, decide, dim3(1), SumTeam::kThreads, partials, chunks, update.settings.maxGradNorm, update.loss,
         decision);
  for (const TensorList& list : lists)
    launch(name, adamwChunks, dim3(blocks(name, list.chunks())), SumTeam::kThreads, list, decision);

  Decision decided;
  deviceMemory().download(&decided, decision, sizeof decided);
  return {decided.apply != 0, decided.norm, decided.loss};
}

}  // namespace fl::cuda
