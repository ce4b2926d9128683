// Cuts the scratch memory of an op (device/device.h) into pieces that begin on 16 bytes, as copies
// of whole chunks need them. Used by the bf16 forms in cuda/ops.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "cuda/gemm/selection.h"

namespace fl::cuda {

class Pieces {
 public:
  /// Floats that pieces of these sizes take together.
  static int64_t countOf(std::initializer_list<int64_t> counts) {
    int64_t sum = 0;
    for (const int64_t count : counts) sum += whole(count);
    return sum;
  }
  explicit Pieces(float* begin) : next_(begin) {}
  float* take(int64_t count) {
    float* const piece = next_;
    next_ += whole(count);
    return piece;
  }
  /// The same for bf16 values that take the room of `count` floats.
  uint16_t* takeHalves(int64_t count) { return reinterpret_cast<uint16_t*>(take(count)); }

 private:
  static int64_t whole(int64_t count) { return ceilDivide(count, 4) * 4; }
  float* next_;
};

}  // namespace fl::cuda
