// W in bf16, in the layout of cast_copies.cuh, for the products of product_bf16.h.
// Factors of adapters are cast by the launch that makes u or v (low_rank_bf16.h), or here together.
#pragma once

#include <memory>

#include "ops/op.h"

namespace fl::cuda {

// cast_copies.cuh, which only nvcc reads.
struct Cast;
struct Casts;

/// Bytes of a bf16 copy, in floats of scratch memory.
int64_t castCount(int64_t rows, int64_t cols);

/// [rows, cols] in fp32, to memory of castCount floats.
Cast castOf(const Tensor& from, float* to);

/// Makes the copies, in one launch.
void run(const char* op, const Casts& casts);

/// Whether a weight keeps a bf16 copy with its parameter: it does where nothing trains it.
bool keepsCastCopy(const Tensor& W);

/// The copy kept with the parameter of `W`, made when it is missing or older than the value.
std::shared_ptr<const void> castCopy(const Tensor& W);

/// W in bf16: the kept copy, or one made now in `scratch` (castCount floats) by a kernel.
class CastWeight {
 public:
  /// Floats of scratch memory that the constructor takes for W.
  static int64_t scratchCount(const Tensor& W) { return keepsCastCopy(W) ? 0 : castCount(W.rows(), W.cols()); }
  CastWeight(const char* op, const Tensor& W, float* scratch);
  const void* data() const { return data_; }

 private:
  std::shared_ptr<const void> kept_;
  const void* data_;
};

}  // namespace fl::cuda
