// Codes and scales of NF4, and values of codes: one formula for the reference and the CPU products.
// Tables and formulas are bitsandbytes'; nf4.h says what is what.
#include "runtime/nf4.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace fl::nf4 {
namespace {

constexpr float kLeastScale = 1e-38f;

/// Of `count` ascending values the place of the nearest, the lower one of two alike.
template <size_t N>
uint8_t nearest(const std::array<float, N>& bounds, float value) {
  return static_cast<uint8_t>(std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin());
}

template <size_t N>
std::array<float, N - 1> middlesOf(const float* values) {
  std::array<float, N - 1> middles;
  for (size_t i = 0; i + 1 < N; i++) middles[i] = (values[i] + values[i + 1]) / 2;
  return middles;
}

const std::array<float, 15>& boundsOfCodes() {
  static const std::array<float, 15> bounds = middlesOf<16>(kValues);
  return bounds;
}
const std::array<float, 255>& boundsOfScales() {
  static const std::array<float, 255> bounds = middlesOf<256>(kScaleValues);
  return bounds;
}

/// Both values of a byte.
const std::array<float, 512>& pairs() {
  static const std::array<float, 512> table = [] {
    std::array<float, 512> made;
    for (size_t byte = 0; byte < 256; byte++) {
      made[2 * byte] = kValues[byte >> 4];
      made[2 * byte + 1] = kValues[byte & 15];
    }
    return made;
  }();
  return table;
}

}  // namespace

float scaleOf(const float* values, int64_t count) {
  float largest = 0;
  for (int64_t i = 0; i < count; i++) {
    const float magnitude = std::fabs(values[i]);
    // NaN stays: the block's values are NaN then.
    if (!(magnitude <= largest)) largest = magnitude;
    if (std::isnan(largest)) break;
  }
  // bitsandbytes: the last block, where it is short, has this for zero.
  return count < kBlock ? std::max(largest, kLeastScale) : largest;
}

void quantiseBlock(const float* values, int64_t count, float scale, uint8_t* codes) {
  const auto& bounds = boundsOfCodes();
  const float inverse = 1.0f / std::max(scale, kLeastScale);
  const auto codeOf = [&](int64_t i) -> unsigned {
    if (i >= count) return 7;
    // bitsandbytes multiplies by the inverse in whole blocks, and divides in the short one.
    const float value = count < kBlock ? values[i] / scale : values[i] * inverse;
    return nearest(bounds, std::clamp(value, -1.0f, 1.0f));
  };
  for (int64_t i = 0; i < count; i += 2) codes[i / 2] = static_cast<uint8_t>(codeOf(i) << 4 | codeOf(i + 1));
}

float quantiseScales(const float* scales, int64_t blocks, uint8_t* scaleCodes, float* nested) {
  double sum = 0;
  for (int64_t b = 0; b < blocks; b++) sum += scales[b];
  const auto mean = static_cast<float>(sum / static_cast<double>(blocks));
  const auto& bounds = boundsOfScales();
  for (int64_t first = 0; first < blocks; first += kNestedBlock) {
    const int64_t end = std::min(blocks, first + kNestedBlock);
    float largest = 0;
    for (int64_t b = first; b < end; b++) largest = std::max(largest, std::fabs(scales[b] - mean));
    nested[first / kNestedBlock] = largest;
    const float inverse = largest > 0 ? 1.0f / largest : 0.0f;
    for (int64_t b = first; b < end; b++) scaleCodes[b] = nearest(bounds, (scales[b] - mean) * inverse);
  }
  return mean;
}

void expand(const Weights& weights, int64_t first, int64_t count, float* out) {
  const float* table = pairs().data();
  int64_t i = first;
  const int64_t end = first + count;
  while (i < end) {
    const int64_t block = i / kBlock, stop = std::min(end, (block + 1) * kBlock);
    const float scale = weights.scaleOf(block);
    if (i % 2 != 0) *out++ = kValues[weights.codeOf(i++)] * scale;
    for (; i + 2 <= stop; i += 2, out += 2) {
      const float* pair = table + 2 * weights.codes[i / 2];
      out[0] = pair[0] * scale;
      out[1] = pair[1] * scale;
    }
    if (i < stop) *out++ = kValues[weights.codeOf(i++)] * scale;
  }
}

}  // namespace fl::nf4
