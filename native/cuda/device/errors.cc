// Errors of the CUDA runtime as fl::Error with its code: lack of memory, faults that stay, the
// rest. errors.h says which error is which; every launch is checked by launch.h.
#include "cuda/device/errors.h"

#include <atomic>

#include "cuda/device/device.h"
#include "runtime/error.h"

namespace fl::cuda {
namespace {

/// What made the device unusable; null while it is well. Set once and never freed.
std::atomic<const std::string*> failure{nullptr};

}  // namespace

std::string amountOf(size_t bytes) {
  return std::to_string(bytes) + " bytes (" + std::to_string((bytes + (1u << 20) - 1) >> 20) + " MiB)";
}

std::string describe(cudaError_t error) {
  return std::string(cudaGetErrorString(error)) + " (" + cudaGetErrorName(error) + ")";
}

void requireHealthy() {
  if (const std::string* why = failure.load()) fail("DEVICE_UNAVAILABLE", *why);
}

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  requireHealthy();
  // Reading an error clears it, unless it is one that stays: then the next call answers with it
  // again.
  cudaGetLastError();
  // Of the thread that records, no kernel has run that could have failed. Else the device's own
  // stream alone is waited for: while another thread records, the device as a whole refuses to be,
  // and that would look like a failure.
  const bool stays =
      Capture::current() == nullptr && cudaStreamSynchronize(Device::instance().ownStream()) != cudaSuccess;
  if (!stays && error == cudaErrorMemoryAllocation) outOfMemory(std::string(what) + " needs memory of its own");
  if (!stays) fail("INTERNAL", std::string(what) + ": CUDA says " + describe(error));
  cudaGetLastError();
  const auto* message = new std::string(
      "the GPU failed (" + std::string(what) + "): " + describe(error) +
      ". It can not be used again by this process; restart it. The fault may lie in an earlier op: with "
      "CUDA_LAUNCH_BLOCKING=1 and FUSED_LORA_CUDA_GRAPHS=off in the environment the message names the right one");
  const std::string* none = nullptr;
  if (!failure.compare_exchange_strong(none, message)) delete message;
  requireHealthy();
}

void outOfMemory(const std::string& need) {
  cudaGetLastError();
  size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) cudaGetLastError();
  fail("OUT_OF_MEMORY", Device::instance().name() + ": " + need + ", " + amountOf(free) + " of " + amountOf(total) +
                            " are free. Use smaller batches (fewer tokens), free the GPU from other programs, or use " +
                            "device 'cpu'");
}

}  // namespace fl::cuda
