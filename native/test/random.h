// Test values: a counter-based generator (SplitMix64), the same on every machine.
// Not that of dropout, which is part of what is tested (runtime/philox.h).
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

namespace fl::test {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}

  uint64_t bits() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  /// In [0, 1).
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  /// In [0, count).
  int64_t below(int64_t count) { return static_cast<int64_t>(bits() % static_cast<uint64_t>(count)); }
  double normal() { return std::sqrt(-2 * std::log(1 - uniform())) * std::cos(6.283185307179586 * uniform()); }
  std::vector<double> normals(int64_t count, double deviation = 1, double mean = 0) {
    std::vector<double> values(static_cast<size_t>(count));
    for (double& v : values) v = mean + deviation * normal();
    return values;
  }
  /// `count` indices in [0, bound).
  std::vector<double> indices(int64_t count, int64_t bound) {
    std::vector<double> values(static_cast<size_t>(count));
    for (double& v : values) v = static_cast<double>(below(bound));
    return values;
  }

 private:
  uint64_t state_;
};

}  // namespace fl::test
