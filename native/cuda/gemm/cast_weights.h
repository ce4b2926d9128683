// W in bf16, as the products of rounded_copies.cuh's layout read it.
#pragma once

#include <memory>

#include "ops/op.h"

namespace fl::cuda {

/// Bytes of a bf16 copy, in floats of scratch memory.
int64_t roundedCount(int64_t rows, int64_t cols);

/// Whether a weight keeps a bf16 copy with its parameter: it does where nothing trains it.
bool keepsRoundedCopy(const Tensor& W);

/// The copy kept with the parameter of `W`, made when it is missing or older than the value.
std::shared_ptr<const void> roundedCopy(const Tensor& W);

/// W in bf16: the kept copy, or one made now in `scratch` (roundedCount floats) by a kernel.
class RoundedWeight {
 public:
  /// Floats of scratch memory that the constructor takes for W.
  static int64_t scratchCount(const Tensor& W) { return keepsRoundedCopy(W) ? 0 : roundedCount(W.rows(), W.cols()); }
  RoundedWeight(const char* op, const Tensor& W, float* scratch);
  const void* data() const { return data_; }

 private:
  std::shared_ptr<const void> kept_;
  const void* data_;
};

}  // namespace fl::cuda
