// fastfood: a point of a random subspace, y = base + scale gain V z, and its transpose for the
// gradient. V is never stored: its entries are functions of (seed, block, place), the same on every
// backend. Who trains in such a subspace: src/subspace.
//
//   V = blocks of n rows, n the power of two from D up; a block is H G Pi H B:
//     B   signs on the diagonal        H    H_ij = (-1)^popcount(i & j), not normalized
//     Pi  a permutation                G    independent standard normal numbers on the diagonal
//   row i of V is row i % n of block `block` + i / n; z is 0 from D to n. Columns of all rows of a
//   theta of N values have norms of about sqrt(N n), which `scale` is for. base and y are rows
//   end to end.
//   gain = gains[attribute gain], or 1 without gains: SAID's factor of a layer.
//
// fastfoodBackward: dz += gain t, dgains[gain] += t . z, where t = scale V^T dy.
//
// Pi is a Feistel network over the bits of the place, so that any place can be asked for by itself;
// G is the inverse of the normal distribution at a random number, in double.
// source: Le, Sarlos and Smola 2013 (Fastfood); Aghajanyan, Zettlemoyer and Gupta 2020, arXiv
// 2012.13255 (DID, SAID); P. J. Acklam's rational approximation of the inverse normal distribution
#pragma once

#include "ops/op.h"

namespace fl {

/// The signs, permutation and normal numbers of one block.
struct FastfoodBlock {
  uint32_t number = 0, seedLow = 0, seedHigh = 0;
  uint32_t lowBits = 0, lowMask = 0, highMask = 0;
  uint32_t key[4] = {};

  FL_HOST_DEVICE FastfoodBlock(uint64_t seed, int64_t block, int64_t n)
      : number(static_cast<uint32_t>(block)),
        seedLow(static_cast<uint32_t>(seed)),
        seedHigh(static_cast<uint32_t>(seed >> 32)) {
    uint32_t bits = 0;
    while ((int64_t{1} << bits) < n) bits++;
    lowBits = bits / 2;
    lowMask = (1u << lowBits) - 1;
    highMask = (1u << (bits - lowBits)) - 1;
    const Philox4 words = draw(0, kKeys);
    for (int i = 0; i < 4; i++) key[i] = words.word[i];
  }

  /// B from place 128 * i on, a bit a place: 1 is -1.
  FL_HOST_DEVICE Philox4 signs(int64_t i) const { return draw(static_cast<uint32_t>(i), kSigns); }

  /// Whether B has -1 at place i.
  FL_HOST_DEVICE bool negative(int64_t i) const {
    const auto at = static_cast<uint32_t>(i);
    const Philox4 words = signs(at >> 7);
    // Chosen, not indexed: on a GPU an index that is not known puts the words into memory.
    const uint32_t low = (at & 32) != 0 ? words.word[1] : words.word[0];
    const uint32_t high = (at & 32) != 0 ? words.word[3] : words.word[2];
    return (((at & 64) != 0 ? high : low) >> (at & 31) & 1) != 0;
  }

  /// Pi: place i of its result is this place of what it is given.
  FL_HOST_DEVICE int64_t source(int64_t i) const {
    uint32_t low = static_cast<uint32_t>(i) & lowMask, high = static_cast<uint32_t>(i) >> lowBits;
    for (int round = 0; round < 4; round += 2) {
      high ^= mix(low ^ key[round]) & highMask;
      low ^= mix(high ^ key[round + 1]) & lowMask;
    }
    return int64_t{high} << lowBits | low;
  }

  /// The four entries of G from place 4 * quad on.
  FL_HOST_DEVICE void normals(int64_t quad, double out[4]) const {
    const Philox4 words = draw(static_cast<uint32_t>(quad), kNormals);
    for (int i = 0; i < 4; i++) out[i] = normal(words.word[i]);
  }

 private:
  static constexpr uint32_t kKeys = 0x46660000u, kSigns = 0x46660001u, kNormals = 0x46660002u;

  FL_HOST_DEVICE Philox4 draw(uint32_t counter, uint32_t kind) const {
    return philox(counter, number, kind, 0, seedLow, seedHigh);
  }

  FL_HOST_DEVICE static uint32_t mix(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7FEB352Du;
    x ^= x >> 15;
    x *= 0x846CA68Bu;
    return x ^ x >> 16;
  }

  /// The last bit is the sign, the others p in (0, 1/2), of which the quantile is taken.
  FL_HOST_DEVICE static double normal(uint32_t word) {
    const double p = ((word >> 1) + 0.5) * 0x1p-32;
    double x;
    if (p < 0.02425) {
      const double q = std::sqrt(-2 * std::log(p));
      x = -(((((-7.784894002430293e-03 * q - 3.223964580411365e-01) * q - 2.400758277161838e+00) * q -
              2.549732539343734e+00) *
                 q +
             4.374664141464968e+00) *
                q +
            2.938163982698783e+00) /
          ((((7.784695709041462e-03 * q + 3.224671290700398e-01) * q + 2.445134137142996e+00) * q +
            3.754408661907416e+00) *
               q +
           1);
    } else {
      const double q = 0.5 - p, r = q * q;
      x = (((((-3.969683028665376e+01 * r + 2.209460984245205e+02) * r - 2.759285104469687e+02) * r +
             1.383577518672690e+02) *
                r -
            3.066479806614716e+01) *
               r +
           2.506628277459239e+00) *
          q /
          (((((-5.447609879822406e+01 * r + 1.615858368580409e+02) * r - 1.556989798598866e+02) * r +
             6.680131188771972e+01) *
                r -
            1.328068155288572e+01) *
               r +
           1);
    }
    return (word & 1) != 0 ? -x : x;
  }
};

/// What both ops say of V.
struct FastfoodMap {
  uint64_t seed = 0;
  int64_t first = 0;
  double scale = 1;
  /// D, and the power of two that it is filled up to.
  int64_t dimension = 0, size = 1;
  /// Of this call.
  int64_t blocks = 0;
  int64_t gain = 0;

  FL_HOST_DEVICE FastfoodBlock block(int64_t i) const { return {seed, first + i, size}; }

  static FastfoodMap bind(const Contract& c, int64_t dimension, int64_t rows, const Tensor& gains) {
    constexpr int64_t kMostDimension = int64_t{1} << 26, kMostBlock = (int64_t{1} << 32) - 1;
    FastfoodMap m;
    m.seed = static_cast<uint64_t>(c.integer("seed", 0, int64_t{1} << 53));
    m.first = c.integer("block", 0, kMostBlock);
    m.scale = c.number("scale");
    m.dimension = dimension;
    if (dimension < 1 || dimension > kMostDimension)
      c.reject("z has " + std::to_string(dimension) + " values, expected 1 to " + std::to_string(kMostDimension));
    while (m.size < dimension) m.size *= 2;
    m.blocks = (rows + m.size - 1) / m.size;
    if (m.blocks > kMostBlock - m.first) c.reject("block and the rows of V go beyond 2^32 blocks");
    if (gains.present() && gains.count() < 1) c.reject("gains is empty");
    // Without gains the attribute says nothing.
    m.gain = c.integer("gain", 0, gains.present() ? gains.count() - 1 : kMostBlock);
    return m;
  }
};

struct FastfoodOp {
  static constexpr Signature signature{"z [D], base [R, N], gains? [m]", "y [R, N]",
                                       "seed, block = 0, scale = 1, gain = 0"};
  Tensor z, base, gains, y;
  FastfoodMap map;

  static FastfoodOp bind(const OpCall& call) {
    const Contract c(call);
    const Tensor z = c.input(0), base = c.input(1), gains = c.input(2);
    return {z, base, gains, c.output(0), FastfoodMap::bind(c, z.count(), base.count(), gains)};
  }
};

struct FastfoodBackwardOp {
  static constexpr Signature signature{"dy [R, N], z [D], gains? [m]", "dz? [D] acc, dgains? [m] acc",
                                       "seed, block = 0, scale = 1, gain = 0"};
  Tensor dy, z, gains, dz, dgains;
  FastfoodMap map;

  static FastfoodBackwardOp bind(const OpCall& call) {
    const Contract c(call);
    const Tensor dy = c.input(0), z = c.input(1), gains = c.input(2), dgains = c.output(1);
    return {dy,          z,      gains,
            c.output(0), dgains, FastfoodMap::bind(c, z.count(), dy.count(), gains.present() ? gains : dgains)};
  }
};

}  // namespace fl
