// Memory of the GPU: what was allocated, how much is in use, copies in stream order.
// Inputs of a step go through the pinned buffers of staging.cc instead.
#include "cuda/device/memory.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "cuda/device/device.h"
#include "cuda/device/staging.h"
#include "runtime/error.h"

namespace fl::cuda {
namespace {

class DeviceMemory final : public Memory {
 public:
  void* allocate(size_t bytes) override {
    requireHealthy();
    Device& device = Device::instance();
    if (Capture::current()) fail("INTERNAL", "an op asks for memory while its step is recorded");
    const size_t size = std::max<size_t>(bytes, 1);
    void* memory = nullptr;
    const cudaError_t error = cudaMalloc(&memory, size);
    if (error == cudaErrorMemoryAllocation) outOfMemory(amountOf(size) + " more are needed");
    check(error, "allocating GPU memory");
    const cudaError_t zeroed = cudaMemsetAsync(memory, 0, size, device.stream());
    if (zeroed != cudaSuccess) cudaFree(memory);
    check(zeroed, "clearing GPU memory");
    const std::lock_guard lock(mutex_);
    sizes_[memory] = size;
    now_ += size;
    peak_ = std::max(peak_, now_);
    return memory;
  }

  // Called from destructors, perhaps after a failure or while the process ends: it throws nothing,
  // and the driver takes the memory back in any case.
  void release(void* memory) override {
    if (memory == nullptr) return;
    {
      const std::lock_guard lock(mutex_);
      const auto found = sizes_.find(memory);
      if (found != sizes_.end()) {
        now_ -= found->second;
        sizes_.erase(found);
      }
    }
    // Kernels that use the memory may still be under way.
    if (cudaStreamSynchronize(Device::instance().ownStream()) != cudaSuccess || cudaFree(memory) != cudaSuccess)
      cudaGetLastError();
  }

  void upload(void* device, const void* host, size_t bytes) override {
    requireHealthy();
    copy(device, host, bytes, cudaMemcpyHostToDevice, "copying to the GPU");
  }

  void uploadTogether(std::span<const HostCopy> copies) {
    requireHealthy();
    if (staging_.upload(copies, Device::instance().stream())) return;
    for (const HostCopy& c : copies) upload(c.device, c.host, c.bytes);
  }

  void download(void* host, const void* device, size_t bytes) override {
    copy(host, device, bytes, cudaMemcpyDeviceToHost, "copying from the GPU");
  }

  void zero(void* device, size_t bytes) override {
    requireHealthy();
    if (bytes > 0) check(cudaMemsetAsync(device, 0, bytes, Device::instance().stream()), "clearing GPU memory");
  }

  MemoryInUse inUse() {
    const std::lock_guard lock(mutex_);
    return {now_, peak_};
  }

 private:
  Staging staging_;
  std::mutex mutex_;
  std::unordered_map<const void*, size_t> sizes_;
  size_t now_ = 0, peak_ = 0;

  void copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, const char* what) {
    requireHealthy();
    if (bytes == 0) return;
    const cudaStream_t stream = Device::instance().stream();
    check(cudaMemcpyAsync(to, from, bytes, kind, stream), what);
    check(cudaStreamSynchronize(stream), what);
  }
};

DeviceMemory& instance() {
  // Never destroyed: parameters may be freed when the statics of other files are gone.
  static DeviceMemory& memory = *new DeviceMemory;
  return memory;
}

}  // namespace

Memory& deviceMemory() { return instance(); }
MemoryInUse memoryInUse() { return instance().inUse(); }
void uploadTogether(std::span<const HostCopy> copies) { instance().uploadTogether(copies); }

}  // namespace fl::cuda
