#include "cuda/errors.h"

#include <atomic>

#include "cuda/device.h"
#include "runtime/error.h"

namespace fl::cuda {
namespace {

/// What made the device unusable; null while it is well. Set once and never freed.
std::atomic<const std::string*> failure{nullptr};

std::string amount(size_t bytes) {
  return std::to_string(bytes) + " bytes (" + std::to_string((bytes + (1u << 20) - 1) >> 20) + " MiB)";
}

}  // namespace

std::string describe(cudaError_t error) {
  return std::string(cudaGetErrorString(error)) + " (" + cudaGetErrorName(error) + ")";
}

void requireHealthy() {
  if (const std::string* why = failure.load()) fail("DEVICE_UNAVAILABLE", *why);
}

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  requireHealthy();
  // Reading an error clears it, unless it is one that stays: then the next call answers with it again.
  cudaGetLastError();
  // Waiting would spoil the recording, in which no kernel has run that could have failed.
  const bool stays = Capture::current() == nullptr && cudaDeviceSynchronize() != cudaSuccess;
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

void outOfMemory(size_t bytes) {
  cudaGetLastError();
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for free GPU memory");
  fail("OUT_OF_MEMORY", Device::instance().name() + ": " + amount(bytes) + " more are needed, " + amount(free) +
                            " of " + amount(total) + " are free. Use smaller batches (fewer tokens), free the GPU " +
                            "from other programs, or use device 'cpu'");
}

}  // namespace fl::cuda
