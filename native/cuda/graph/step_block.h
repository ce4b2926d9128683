// What changes from step to step (seed, loss scale, number of the forward pass), in device memory:
// recorded kernels read it there, since their parameters stay. Recording itself: graph.h.
#pragma once

#include "cuda/device/device.h"
#include "ops/op.h"

namespace fl::cuda {

struct StepBlock {
  uint64_t seed;
  double lossScale;
  uint32_t forwardNumber;
  uint32_t padding;
};

/// Where a kernel that is being recorded finds the step's values; null: its parameters have them.
inline const StepBlock* recordedStep() {
  const Capture* const capture = Capture::current();
  return capture ? capture->step : nullptr;
}

/// Stands for MaskKey in kernels.
struct StepMaskKey {
  MaskKey fixed;
  const StepBlock* step = nullptr;

  __device__ MaskKey key() const { return step ? MaskKey{step->seed, fixed.site, step->forwardNumber} : fixed; }
  __device__ Philox4 words(uint32_t token, uint32_t featureQuad) const { return key().words(token, featureQuad); }
  __device__ uint32_t word(uint32_t token, uint32_t feature) const { return key().word(token, feature); }
  /// The same, with the step's values read anew in every call: four registers less in a loop.
  __device__ Philox4 wordsReadAnew(uint32_t token, uint32_t featureQuad) const {
    const volatile StepBlock* const now = step;
    const MaskKey read = now ? MaskKey{now->seed, fixed.site, now->forwardNumber} : fixed;
    return read.words(token, featureQuad);
  }
};

/// factor * lossScale, the scale being the step's.
struct StepScale {
  double fixed, factor;
  const StepBlock* step;

  static StepScale of(const StepState& state, double factor) { return {state.lossScale, factor, recordedStep()}; }
  __device__ double value() const { return (step ? step->lossScale : fixed) * factor; }
};

}  // namespace fl::cuda
