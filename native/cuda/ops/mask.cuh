// The dropout mask in a kernel (runtime/philox.h): recomputed wherever it is needed, never stored.
// Its step's seed comes from cuda/graph/step_block.h when the step is recorded.
#pragma once

#include "cuda/graph/step_block.h"
#include "ops/op.h"

namespace fl::cuda {

struct Mask {
  StepMaskKey key;
  uint32_t threshold = 0;
  float keepScale = 1;
  /// On the device; null: the row number.
  const int32_t* tokenIndex = nullptr;
  bool active = false;
};

inline Mask maskOf(const DropoutSpec& dropout) {
  return {{dropout.key, recordedStep()},
          dropout.threshold(),
          static_cast<float>(dropout.keepScale()),
          dropout.tokenIndex.present() ? dropout.tokenIndex.as<int32_t>() : nullptr,
          dropout.active()};
}

/// 1 / (1 - p) for a kept element, else 0.
__device__ inline float maskAt(const Mask& mask, int64_t row, int64_t feature) {
  const auto token = static_cast<uint32_t>(mask.tokenIndex ? mask.tokenIndex[row] : row);
  const Philox4 words = mask.key.words(token, static_cast<uint32_t>(feature >> 2));
  const uint32_t low = feature & 1 ? words.word[1] : words.word[0];
  const uint32_t high = feature & 1 ? words.word[3] : words.word[2];
  return (feature & 2 ? high : low) < mask.threshold ? 0.0f : mask.keepScale;
}

}  // namespace fl::cuda
