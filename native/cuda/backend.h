// The CUDA backend: fp32 on the first GPU that the driver shows (CUDA_VISIBLE_DEVICES chooses
// another). backend.cc has its table of ops, device/device.cc opens the GPU.
#pragma once

#include <cstddef>
#include <string>

#include "ops/backend.h"

namespace fl {

/// Throws DEVICE_UNAVAILABLE saying why: no driver, a driver too old, no GPU, a GPU that these
/// kernels were not built for, or a GPU that failed earlier in this process.
Backend& cudaBackend();

/// What was found, for people and programs.
struct CudaReport {
  enum class Cause { none, noDriver, driverTooOld, noDevice, unsupportedDevice, noKernelImage, notWorking, failed };
  /// none: the GPU can be used.
  Cause cause = Cause::none;
  /// Why not, and what to do; empty where it can.
  std::string reason;
  /// Empty where no GPU was seen.
  std::string device;
  /// 90 for 9.0; 0: no GPU was seen.
  int computeCapability = 0;
  /// CUDA versions: what the driver supports (0: there is none) and what this build has; 13000 is
  /// 13.0.
  int driver = 0, runtime = 0;
  size_t freeBytes = 0, totalBytes = 0;
  /// Of this process's tensors.
  size_t usedBytes = 0, peakBytes = 0;
  /// Kernels launched or recorded by this process so far.
  int64_t launches = 0;
  /// Steps run as CUDA graphs (FUSED_LORA_CUDA_GRAPHS).
  bool graphs = false;
};
CudaReport cudaReport();
std::string_view nameOf(CudaReport::Cause cause);

}  // namespace fl
