// int8 codes of a row of floats with one scale: what ops/base_weights.h calls quantising. Vectors
// of it are in cpu/gemm/gemm_int8.cc, which gives the same codes.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace fl {

/// Codes are from -127 to 127: with both signs alike, a product is at most 127 * 127.
constexpr float kInt8Most = 127;
/// Rows whose largest value is below are zero: 127 / largest would be beyond fp32 (2^-121).
constexpr float kInt8Least = 0x1p-120f;

struct Int8Scale {
  /// value = code * scale; code = nearest(value * inverse).
  float scale = 0, inverse = 0;
};

/// Of a row whose largest magnitude is `largest`; NaN or infinite: a scale of NaN and codes of 0,
/// so that what is made of them is NaN.
inline Int8Scale int8ScaleOf(float largest) {
  if (!std::isfinite(largest)) return {std::numeric_limits<float>::quiet_NaN(), 0};
  if (largest < kInt8Least) return {};
  return {largest / kInt8Most, kInt8Most / largest};
}

/// The largest magnitude of `count` values; NaN where one of them is.
inline float largestOf(const float* values, int64_t count) {
  uint32_t most = 0;
  for (int64_t i = 0; i < count; i++) {
    // Magnitudes are ordered as their bits are, and NaN lies above all.
    const uint32_t bits = std::bit_cast<uint32_t>(values[i]) & 0x7FFFFFFFu;
    if (bits > most) most = bits;
  }
  return std::bit_cast<float>(most);
}

/// Nearest, ties to the even code.
inline int8_t int8CodeOf(float value, const Int8Scale& scale) {
  return scale.inverse == 0 ? int8_t{0} : static_cast<int8_t>(std::nearbyint(value * scale.inverse));
}

}  // namespace fl
