// Small copies to the GPU that the host does not wait for: through a ring of pinned slots.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <mutex>

namespace fl::cuda {

class Staging {
 public:
  /// Largest copy that goes through a slot: the ids of 65536 tokens.
  static constexpr size_t kSlotBytes = size_t{256} << 10;

  /// Queues a copy of `host`, which is free again on return. False: too large, or no pinned memory to be had.
  bool upload(void* device, const void* host, size_t bytes, cudaStream_t stream);

 private:
  /// As many as a step has inputs, so that a step waits for the copies of the one before at most.
  static constexpr int kSlots = 8;

  bool open();

  std::mutex mutex_;
  bool tried_ = false;
  char* slots_ = nullptr;
  cudaEvent_t free_[kSlots] = {};
  int next_ = 0;
};

}  // namespace fl::cuda
