// NF4 with double quantisation (QLoRA, Dettmers et al. 2023, arXiv 2305.14314), as bitsandbytes
// 0.50 does it on a CPU: ops/base_weights.h has the formulas. Kept with a parameter and expanded in
// products by cpu/gemm/nf4_panels.h.
#pragma once

#include <cstdint>

namespace fl::nf4 {

/// Values that share a scale, and scales that share one of their own.
constexpr int64_t kBlock = 64, kNestedBlock = 256;

/// The 16 values of a code, ascending: bitsandbytes' get_4bit_type("nf4").
extern const float kValues[16];
/// The 256 values of a scale's code, ascending: bitsandbytes' create_dynamic_map().
extern const float kScaleValues[256];

constexpr int64_t blocksOf(int64_t count) { return (count + kBlock - 1) / kBlock; }
constexpr int64_t nestedOf(int64_t count) { return (blocksOf(count) + kNestedBlock - 1) / kNestedBlock; }

/// Bytes of `count` weights: codes, codes of the scales, the scales' own scales, their mean.
constexpr int64_t bytesOf(int64_t count) { return (count + 1) / 2 + blocksOf(count) + 4 * nestedOf(count) + 4; }

/// A view of quantised weights.
struct Weights {
  /// Two a byte, the first in the high half.
  const uint8_t* codes = nullptr;
  const uint8_t* scaleCodes = nullptr;
  const float* nested = nullptr;
  float mean = 0;

  /// Of values 64 b and up.
  float scaleOf(int64_t block) const { return kScaleValues[scaleCodes[block]] * nested[block / kNestedBlock] + mean; }
  uint8_t codeOf(int64_t i) const { return i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15; }
};

/// The largest magnitude of a block of `count` values.
float scaleOf(const float* values, int64_t count);
/// Codes of a block with that scale, from an even place on.
void quantiseBlock(const float* values, int64_t count, float scale, uint8_t* codes);
/// Scales by their mean and by blocks of 256; `nested` gets one number a block. Returns the mean.
float quantiseScales(const float* scales, int64_t blocks, uint8_t* scaleCodes, float* nested);

/// Values [first, first + count).
void expand(const Weights& weights, int64_t first, int64_t count, float* out);

}  // namespace fl::nf4
