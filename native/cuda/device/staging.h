// The inputs of a step on their way to the GPU: gathered in one of two pinned buffers, so that the
// host fills one while the GPU may still read the other, and copied from there without the host
// waiting. All other copies: memory.h.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <mutex>
#include <span>

#include "ops/backend.h"

namespace fl::cuda {

class Staging {
 public:
  /// Bytes between two targets that are copied along rather than begun anew for: programs put their
  /// inputs side by side in the arena, each on a multiple of 64 bytes.
  static constexpr size_t kMostGap = 64;

  /// Queues the copies; the sources are free again on return. False: no pinned memory to be had.
  bool upload(std::span<const HostCopy> copies, cudaStream_t stream);

 private:
  struct Buffer {
    char* memory = nullptr;
    size_t capacity = 0;
    /// The last copy out of it.
    cudaEvent_t copied = nullptr;
  };
  bool grow(Buffer& buffer, size_t bytes);

  std::mutex mutex_;
  Buffer buffers_[2];
  int next_ = 0;
};

}  // namespace fl::cuda
