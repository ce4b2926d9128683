// The memory of one device: allocate, release, and copies between it and the host.
// Here the host's own; tensors that keep their values in it are Parameters (parameter.h).
#pragma once

#include <cstddef>

namespace fl {

class Memory {
 public:
  virtual ~Memory() = default;
  /// Zeroed, 64-byte aligned. Throws OUT_OF_MEMORY.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* memory) = 0;
  virtual void upload(void* device, const void* host, size_t bytes) = 0;
  virtual void download(void* host, const void* device, size_t bytes) = 0;
  virtual void zero(void* device, size_t bytes) = 0;
};

/// Plain memory of this process.
class HostMemory : public Memory {
 public:
  void* allocate(size_t bytes) override;
  void release(void* memory) override;
  void upload(void* device, const void* host, size_t bytes) override;
  void download(void* host, const void* device, size_t bytes) override;
  void zero(void* device, size_t bytes) override;
};

HostMemory& hostMemory();

}  // namespace fl
