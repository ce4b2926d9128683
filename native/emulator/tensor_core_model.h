// How a tensor core rounds, as measured by Fasi, Higham, Mikaitis and Pranesh 2021 ("Numerical
// behavior of NVIDIA tensor cores"): products of bf16 are exact; the accumulator and eight products
// are aligned to the largest of them, cut off below, added, and the sum is cut off to fp32, where
// fmaf would round. Tolerances that hold for this hold for hardware that rounds better. The
// instructions are in tensor_core.cc.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace fl::emulator {

/// c + a[0] b[0] + ... + a[7] b[7]; a and b hold bf16 values.
inline float addEight(float c, const float (&a)[8], const float (&b)[8]) {
  // Two bits more than a float's 24 are kept below the leading bit of the largest term.
  constexpr int kBits = 26;
  double terms[9];
  terms[8] = c;
  double largest = std::fabs(terms[8]), plain = terms[8];
  for (int i = 0; i < 8; i++) {
    terms[i] = static_cast<double>(a[i]) * static_cast<double>(b[i]);
    plain += terms[i];
    if (std::fabs(terms[i]) > largest) largest = std::fabs(terms[i]);
  }
  if (!std::isfinite(plain) || largest < 1e-30) return static_cast<float>(plain);
  const auto exponent = static_cast<int64_t>(std::bit_cast<uint64_t>(largest) >> 52) - 1023;
  const auto powerOfTwo = [](int64_t e) { return std::bit_cast<double>(static_cast<uint64_t>(e + 1023) << 52); };
  const double units = powerOfTwo(kBits - 1 - exponent);
  int64_t sum = 0;
  for (const double term : terms) sum += static_cast<int64_t>(term * units);  // towards zero
  uint64_t magnitude = static_cast<uint64_t>(sum < 0 ? -sum : sum);
  const int beyond = static_cast<int>(std::bit_width(magnitude)) - 24;
  if (beyond > 0) magnitude = magnitude >> beyond << beyond;
  const double value = static_cast<double>(magnitude) * powerOfTwo(exponent - kBits + 1);
  return static_cast<float>(sum < 0 ? -value : value);
}

}  // namespace fl::emulator
