// bfloat16: the upper half of a float. Products of precision 'bf16' take operands rounded to it and
// sum in fp32. Vectors of it are cast in cpu/gemm/gemm_bf16.cc and cuda/gemm/cast_copies.cuh.
#pragma once

#include <bit>
#include <cstdint>

namespace fl {

/// The bf16 value nearest to x, ties to the even mantissa; what is beyond the largest becomes
/// infinite, NaN stays NaN.
inline float roundToBf16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  if (x != x) return std::bit_cast<float>((bits | 0x00400000u) & 0xFFFF0000u);
  return std::bit_cast<float>((bits + 0x7FFFu + (bits >> 16 & 1u)) & 0xFFFF0000u);
}

}  // namespace fl
