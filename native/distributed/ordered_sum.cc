// The sum in vectors of the compiler: memory is what it waits for, so one form serves all CPUs.
// The formula: ordered_sum.h.
#include "distributed/ordered_sum.h"

#include <algorithm>
#include <cstring>

namespace fl::mpi {
namespace {

constexpr int64_t kLanes = 8;
typedef float Lanes __attribute__((vector_size(4 * kLanes)));
/// Vectors that are under way together.
constexpr int64_t kVectors = 4;

/// Values may lie at any multiple of 4 bytes.
void add(Lanes& sum, const float* values) {
  Lanes lanes;
  std::memcpy(&lanes, values, sizeof lanes);
  sum += lanes;
}

}  // namespace

void sumInOrder(float* out, std::span<const float* const> terms, int64_t count) {
  if (terms.empty()) {
    std::fill(out, out + count, 0.0f);
    return;
  }
  int64_t i = 0;
  for (; i + kVectors * kLanes <= count; i += kVectors * kLanes) {
    Lanes sum[kVectors];
    std::memcpy(sum, terms[0] + i, sizeof sum);
    for (const float* term : terms.subspan(1))
      for (int64_t k = 0; k < kVectors; k++) add(sum[k], term + i + k * kLanes);
    std::memcpy(out + i, sum, sizeof sum);
  }
  for (; i < count; i++) {
    float sum = terms[0][i];
    for (const float* term : terms.subspan(1)) sum += term[i];
    out[i] = sum;
  }
}

}  // namespace fl::mpi
