#include "cuda/memory.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <string>

#include "cuda/device.h"
#include "cuda/staging.h"
#include "runtime/error.h"

namespace fl::cuda {
namespace {

std::string mebibytes(size_t bytes) { return std::to_string((bytes + (1u << 20) - 1) >> 20) + " MiB"; }

[[noreturn]] void outOfMemory(size_t bytes) {
  cudaGetLastError();
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for free GPU memory");
  fail("OUT_OF_MEMORY", Device::instance().name() + ": " + mebibytes(bytes) + " more are needed, " + mebibytes(free) +
                            " of " + mebibytes(total) + " are free. Use smaller batches (fewer tokens), free the GPU " +
                            "from other programs, or use device 'cpu'");
}

class DeviceMemory final : public Memory {
 public:
  void* allocate(size_t bytes) override {
    requireHealthy();
    Device& device = Device::instance();
    const size_t size = std::max<size_t>(bytes, 1);
    void* memory = nullptr;
    const cudaError_t error = cudaMalloc(&memory, size);
    if (error == cudaErrorMemoryAllocation) outOfMemory(size);
    check(error, "allocating GPU memory");
    const cudaError_t zeroed = cudaMemsetAsync(memory, 0, size, device.stream());
    if (zeroed != cudaSuccess) cudaFree(memory);
    check(zeroed, "clearing GPU memory");
    return memory;
  }

  // Called from destructors, perhaps after a failure or while the process ends: it throws nothing, and the driver takes
  // the memory back in any case.
  void release(void* memory) override {
    if (memory == nullptr) return;
    // Kernels that use the memory may still be under way.
    if (cudaStreamSynchronize(Device::instance().stream()) != cudaSuccess || cudaFree(memory) != cudaSuccess)
      cudaGetLastError();
  }

  void upload(void* device, const void* host, size_t bytes) override {
    requireHealthy();
    if (bytes == 0 || staging_.upload(device, host, bytes, Device::instance().stream())) return;
    copy(device, host, bytes, cudaMemcpyHostToDevice, "copying to the GPU");
  }

  void download(void* host, const void* device, size_t bytes) override {
    copy(host, device, bytes, cudaMemcpyDeviceToHost, "copying from the GPU");
  }

  void zero(void* device, size_t bytes) override {
    requireHealthy();
    if (bytes > 0) check(cudaMemsetAsync(device, 0, bytes, Device::instance().stream()), "clearing GPU memory");
  }

 private:
  Staging staging_;

  void copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, const char* what) {
    requireHealthy();
    if (bytes == 0) return;
    const cudaStream_t stream = Device::instance().stream();
    check(cudaMemcpyAsync(to, from, bytes, kind, stream), what);
    check(cudaStreamSynchronize(stream), what);
  }
};

}  // namespace

Memory& deviceMemory() {
  // Never destroyed: parameters may be freed when the statics of other files are gone.
  static Memory& memory = *new DeviceMemory;
  return memory;
}

}  // namespace fl::cuda
