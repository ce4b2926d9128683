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

/// Which tensor and where in it, chunk by chunk.
template <int most>
struct ChunkList {
  int count = 0;
  int64_t firstChunk[most + 1] = {};
  int64_t elements[most] = {};

  int64_t chunks() const { return firstChunk[count]; }
  bool full() const { return count == most; }
  int add(int64_t elementCount) {
    elements[count] = elementCount;
    firstChunk[count + 1] = firstChunk[count] + ceilDivide(elementCount, kTensorChunk);
    return count++;
  }
};

struct SquareList : ChunkList<150> {
  const float* gradient[150] = {};
};
/// Tensors of one optimizer group share its step.
struct TensorList : ChunkList<kMostTensors> {
  static constexpr int kMostSteps = 8;
  AdamWTensor tensor[kMostTensors] = {};
  uint8_t stepOf[kMostTensors] = {};
  int steps = 0;
  AdamWStep step[kMostSteps] = {};
};
static_assert(sizeof(TensorList) <= 3900 && sizeof(SquareList) <= 3900, "kernel parameters are 4 KiB at most");

/// What the norm decides.
struct Decision {
  double norm, loss;
  float gradientScale;
  int apply;
};

/// Grid: chunks of the list.
__global__ void __launch_bounds__(SumTeam::kThreads) squareChunks(const SquareList list, double* partials) {
  const TensorChunk chunk = tensorChunk(list.firstChunk, list.count, blockIdx.x);
  const float* const gradient = list.gradient[chunk.tensor];
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
  const AdamWStep step = list.step[list.stepOf[chunk.tensor]];
  const int64_t rest = list.elements[chunk.tensor] - chunk.begin;
  const int64_t end = chunk.begin + (rest < kTensorChunk ? rest : kTensorChunk);
  for (int64_t i = chunk.begin + threadIdx.x; i < end; i += SumTeam::kThreads)
    adamwElement(tensor, step, gradientScale, i);
}

std::vector<SquareList> squaresOf(const OptimizerUpdate& update) {
  std::vector<SquareList> lists;
  for (const OptimizerUpdate::Item& item : update.items) {
    if (lists.empty() || lists.back().full()) lists.emplace_back();
    SquareList& list = lists.back();
    list.gradient[list.add(item.gradient.count())] = item.gradient.as<float>();
  }
  return lists;
}

std::vector<TensorList> tensorsOf(const OptimizerUpdate& update) {
  std::vector<AdamWStep> steps;
  for (const OptimizerGroup& group : update.settings.groups)
    steps.push_back(adamwStep(AdamWSettings::of(group, update.settings.step)));
  std::vector<TensorList> lists;
  std::vector<int> placeOf;  // of each group in the last list; -1: not there
  for (const OptimizerUpdate::Item& item : update.items) {
    const auto group = static_cast<size_t>(item.group);
    const bool noRoom = !lists.empty() && placeOf[group] < 0 && lists.back().steps == TensorList::kMostSteps;
    if (lists.empty() || lists.back().full() || noRoom) {
      lists.emplace_back();
      placeOf.assign(steps.size(), -1);
    }
    TensorList& list = lists.back();
    if (placeOf[group] < 0) {
      placeOf[group] = list.steps;
      list.step[list.steps++] = steps[group];
    }
    const int t = list.add(item.gradient.count());
    list.tensor[t] = {item.gradient.as<float>(), item.p.as<float>(), item.m.as<float>(), item.v.as<float>()};
    list.stepOf[t] = static_cast<uint8_t>(placeOf[group]);
  }
  return lists;
}

}  // namespace

ApplyResult update(const OptimizerUpdate& update) {
  const char* const name = "the optimizer step";
  const std::vector<SquareList> squares = squaresOf(update);
  int64_t chunks = 0;
  for (const SquareList& list : squares) chunks += list.chunks();
  constexpr int64_t kDecisionFloats = sizeof(Decision) / sizeof(float);
  const Device::Scratch scratch = Device::instance().scratch(kDecisionFloats + 2 * chunks);
  auto* const decision = reinterpret_cast<Decision*>(scratch.data());
  auto* const partials = reinterpret_cast<double*>(scratch.data() + kDecisionFloats);

  int64_t before = 0;
  for (const SquareList& list : squares) {
    launch(name, squareChunks, dim3(blocks(name, list.chunks())), SumTeam::kThreads, list, partials + before);
    before += list.chunks();
  }
  launch(name, decide, dim3(1), SumTeam::kThreads, partials, chunks, update.settings.maxGradNorm, update.loss,
         decision);
  for (const TensorList& list : tensorsOf(update))
    launch(name, adamwChunks, dim3(blocks(name, list.chunks())), SumTeam::kThreads, list, decision);

  Decision decided;
  deviceMemory().download(&decided, decision, sizeof decided);
  return {decided.apply != 0, decided.norm, decided.loss};
}

}  // namespace fl::cuda
