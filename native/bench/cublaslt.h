// cuBLASLt's bare product with bias, opened at run time: what lora_gemm_sm90a takes turns with. The
// addon neither links nor opens it. Numbers of enumerators are those of cublasLt.h (CUDA 12 and
// 13). hopper_gemm.cc calls it.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <functional>
#include <string>

namespace fl::bench {

/// out[rows, cols] = x[rows, depth] w(depth, cols) + bias, bf16, row-major; w [cols, depth] where
/// depthContiguous.
struct BareProduct {
  int rows, cols, depth;
  bool depthContiguous;
  const void *x, *w, *bias;
  void* out;
};

class CublasLt {
 public:
  /// @param file e.g. libcublasLt.so.13, or a path. Throws std::runtime_error with the loader's
  ///   reason.
  explicit CublasLt(const std::string& file);

  /// Launches the product with the fastest of the algorithms that cuBLASLt proposes; `seconds`
  /// times a launch.
  std::function<void()> product(const BareProduct& product, cudaStream_t stream,
                                const std::function<double(const std::function<void()>&)>& seconds);

 private:
  template <class Function>
  Function* find(const char* name) const;

  void* library_;
  void* handle_ = nullptr;
  void* workspace_ = nullptr;
};

}  // namespace fl::bench
