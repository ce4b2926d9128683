// The GPU of this process: its one stream, its scratch memory, and how errors of the CUDA runtime become fl::Error.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <mutex>
#include <string>

namespace fl::cuda {

/// Throws when `error` is one; `what` says what was being done ("loraLinear"). An error that leaves the GPU usable is a
/// bug here: INTERNAL. One that stays (a kernel's fault, a lost device) marks the device as failed: DEVICE_UNAVAILABLE,
/// now and from every later call, since CUDA recovers from it only in a new process.
void check(cudaError_t error, const char* what);

/// Throws DEVICE_UNAVAILABLE when the device has failed before.
void requireHealthy();

class Device {
 public:
  /// Opened at the first call, which throws DEVICE_UNAVAILABLE with the reason when it can not be had.
  static Device& instance();

  /// All kernels and copies, in order.
  cudaStream_t stream() const { return stream_; }
  /// For people: model, compute capability and memory.
  const std::string& name() const { return name_; }
  void synchronize();

  /// Memory for what one op hands from kernel to kernel. All ops share one buffer: while this lives, no other thread
  /// can launch kernels that use it, and the stream runs those that did in order.
  class Scratch {
   public:
    float* data() const { return data_; }

   private:
    friend class Device;
    Scratch(std::mutex& mutex, float* data) : lock_(mutex, std::adopt_lock), data_(data) {}
    std::unique_lock<std::mutex> lock_;
    float* data_;
  };
  /// At least `count` floats, of any value. Throws OUT_OF_MEMORY.
  Scratch scratch(int64_t count);

 private:
  Device();

  std::string name_;
  cudaStream_t stream_ = nullptr;
  std::mutex scratchMutex_;
  float* scratch_ = nullptr;
  int64_t scratchCount_ = 0;
};

/// Runs a kernel that shows whether this GPU can run the code of this build; returns the runtime's answer.
cudaError_t runProbe(cudaStream_t stream);

}  // namespace fl::cuda
