#include "cuda/device.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "cuda/memory.h"
#include "runtime/error.h"

namespace fl::cuda {
namespace {

/// What made the device unusable; null while it is well. Set once and never freed.
std::atomic<const std::string*> failure{nullptr};

std::string describe(cudaError_t error) {
  return std::string(cudaGetErrorString(error)) + " (" + cudaGetErrorName(error) + ")";
}

std::string version(int number) { return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10); }

[[noreturn]] void unavailable(const std::string& why) {
  fail("DEVICE_UNAVAILABLE", "device 'cuda' can not be used: " + why + ", or use device 'cpu'");
}

/// The driver is loaded by the runtime at this first call; without one it answers as if it were too old.
void requireDriverAndDevice() {
  int driver = 0, runtime = 0, count = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return;
  cudaGetLastError();
  if (driver == 0)
    unavailable("there is no NVIDIA driver (libcuda.so.1 could not be loaded). Install one that supports CUDA " +
                version(runtime));
  if (error == cudaErrorInsufficientDriver)
    unavailable("the NVIDIA driver is too old: it supports CUDA " + version(driver) + ", this build needs CUDA " +
                version(runtime) + ". Update the driver");
  if (error == cudaSuccess || error == cudaErrorNoDevice) {
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    unavailable("the NVIDIA driver shows no GPU" +
                (visible ? " (CUDA_VISIBLE_DEVICES is '" + std::string(visible) + "')" : std::string()) +
                ". See what nvidia-smi says");
  }
  unavailable("the NVIDIA driver answers: " + describe(error) + ". See what nvidia-smi says");
}

std::string nameOf(const cudaDeviceProp& properties) {
  char text[400];
  std::snprintf(text, sizeof text, "%s (compute capability %d.%d, %.0f GiB)", properties.name, properties.major,
                properties.minor, static_cast<double>(properties.totalGlobalMem) / (1 << 30));
  return text;
}

bool isMissingCode(cudaError_t error) {
  return error == cudaErrorNoKernelImageForDevice || error == cudaErrorInvalidDeviceFunction ||
         error == cudaErrorUnsupportedPtxVersion || error == cudaErrorJitCompilationDisabled ||
         error == cudaErrorInvalidPtx;
}

}  // namespace

void requireHealthy() {
  if (const std::string* why = failure.load()) fail("DEVICE_UNAVAILABLE", *why);
}

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  requireHealthy();
  // Reading an error clears it, unless it is one that stays: then the next call answers with it again.
  cudaGetLastError();
  const cudaError_t again = cudaDeviceSynchronize();
  if (again == cudaSuccess) fail("INTERNAL", std::string(what) + ": CUDA says " + describe(error));
  cudaGetLastError();
  const auto* message = new std::string(
      "the GPU failed (" + std::string(what) + "): " + describe(error) +
      ". It can not be used again by this process; restart it. The fault may lie in an earlier op: with "
      "CUDA_LAUNCH_BLOCKING=1 in the environment the message names the right one");
  const std::string* none = nullptr;
  if (!failure.compare_exchange_strong(none, message)) delete message;
  requireHealthy();
}

Device& Device::instance() {
  // Never destroyed, like the memory: the driver is gone before statics are.
  static Device& device = *new Device;
  return device;
}

Device::Device() {
  requireHealthy();
  requireDriverAndDevice();
  cudaDeviceProp properties{};
  cudaError_t error = cudaGetDeviceProperties(&properties, 0);
  if (error == cudaSuccess) {
    name_ = nameOf(properties);
    if (properties.major < 8) unavailable(name_ + " is too old: compute capability 8.0 (Ampere) or newer is needed");
    error = cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking);
  }
  if (error == cudaSuccess) error = runProbe(stream_);
  if (error == cudaSuccess) return;
  cudaGetLastError();
  if (stream_) cudaStreamDestroy(stream_);
  const std::string gpu = name_.empty() ? "the GPU" : name_;
  if (isMissingCode(error))
    unavailable("this build has no kernels for " + gpu + ": " + describe(error) +
                ". Build with FUSED_LORA_CUDA_ARCHS set to its architecture");
  unavailable(gpu + " does not work: " + describe(error) + ". See what nvidia-smi says");
}

void Device::synchronize() {
  requireHealthy();
  check(cudaStreamSynchronize(stream_), "waiting for the GPU");
}

Device::Scratch Device::scratch(int64_t count) {
  scratchMutex_.lock();
  Scratch result(scratchMutex_, nullptr);
  if (count > scratchCount_) {
    deviceMemory().release(scratch_);
    scratch_ = nullptr;
    scratchCount_ = 0;
    scratch_ = static_cast<float*>(deviceMemory().allocate(static_cast<size_t>(count) * sizeof(float)));
    scratchCount_ = count;
  }
  result.data_ = scratch_;
  return result;
}

}  // namespace fl::cuda
