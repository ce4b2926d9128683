// Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11), a
// counter-based generator: a mask is a function of (seed, site, forward number, token, feature), so
// it is recomputed and never stored. Vectors of it: cpu/simd/philox.inc.
//
//   counter = (token, feature / 4, site, forwardNumber), key = (seed low, seed high)
//   feature % 4 picks the word
//   keep    = word >= dropThreshold(p); a kept value is multiplied by 1 / (1 - p)
//
// `token` is the logical token index in the batch before any gather. For attention probabilities,
// `feature` is head * 65536 + key position within the sequence.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#if defined(__CUDACC__)
#define FL_HOST_DEVICE __host__ __device__
#else
#define FL_HOST_DEVICE
#endif

namespace fl {

struct Philox4 {
  uint32_t word[4];
};

FL_HOST_DEVICE inline Philox4 philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c0;
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * c2;
    const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    const uint32_t n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// What a dropout mask depends on besides (token, feature).
struct MaskKey {
  uint64_t seed = 0;
  uint32_t site = 0;
  uint32_t forwardNumber = 0;

  FL_HOST_DEVICE Philox4 words(uint32_t token, uint32_t featureQuad) const {
    return philox(token, featureQuad, site, forwardNumber, static_cast<uint32_t>(seed),
                  static_cast<uint32_t>(seed >> 32));
  }
  FL_HOST_DEVICE uint32_t word(uint32_t token, uint32_t feature) const {
    return words(token, feature >> 2).word[feature & 3];
  }
};

/// A word below this is dropped. p in [0, 1).
inline uint32_t dropThreshold(double p) { return static_cast<uint32_t>(std::floor(p * 4294967296.0)); }

}  // namespace fl
