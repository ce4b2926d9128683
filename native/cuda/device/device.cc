// Opens the GPU, asks what it is and says why there is none; the stream, and scratch memory that
// grows between steps. Errors are told in errors.cc, memory of tensors is had in memory.cc.
#include "cuda/device/device.h"

#include <cstdio>
#include <cstdlib>

#include "cuda/backend.h"
#include "cuda/device/memory.h"
#include "cuda/graph/graph.h"
#include "runtime/error.h"

namespace fl {
namespace cuda {
namespace {

/// Why the device could not be opened at the last try.
CudaReport::Cause lastCause = CudaReport::Cause::none;

std::string version(int number) { return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10); }

[[noreturn]] void unavailable(CudaReport::Cause cause, const std::string& why) {
  lastCause = cause;
  fail("DEVICE_UNAVAILABLE", why);
}

using Cause = CudaReport::Cause;

/// The driver is loaded by the runtime at this first call; without one it answers as if it were too
/// old.
void requireDriverAndDevice() {
  int driver = 0, runtime = 0, count = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return;
  cudaGetLastError();
  if (driver == 0)
    unavailable(Cause::noDriver,
                "there is no NVIDIA driver (libcuda.so.1 could not be loaded). Install one that supports CUDA " +
                    version(runtime));
  if (error == cudaErrorInsufficientDriver)
    unavailable(Cause::driverTooOld, "the NVIDIA driver is too old: it supports CUDA " + version(driver) +
                                         ", this build needs CUDA " + version(runtime) + ". Update the driver");
  if (error == cudaSuccess || error == cudaErrorNoDevice) {
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    unavailable(Cause::noDevice,
                "the NVIDIA driver shows no GPU" +
                    (visible ? " (CUDA_VISIBLE_DEVICES is '" + std::string(visible) + "')" : std::string()) +
                    ". See what nvidia-smi says");
  }
  unavailable(Cause::notWorking, "the NVIDIA driver answers: " + describe(error) + ". See what nvidia-smi says");
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

Capture*& Capture::current() {
  thread_local Capture* current = nullptr;
  return current;
}

Device& Device::instance() {
  // Never destroyed, like the memory: the driver is gone before statics are.
  static Device& device = *new Device;
  return device;
}

Device::Device() {
  requireHealthy();
  requireDriverAndDevice();
  open();
  lastCause = Cause::none;
}

void Device::open() {
  cudaDeviceProp properties{};
  cudaError_t error = cudaGetDeviceProperties(&properties, 0);
  if (error == cudaSuccess) {
    name_ = nameOf(properties);
    computeCapability_ = 10 * properties.major + properties.minor;
    if (properties.major < 8)
      unavailable(Cause::unsupportedDevice,
                  name_ + " is too old: compute capability 8.0 (Ampere) or newer is needed. Use another GPU");
    error = cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking);
  }
  if (error == cudaSuccess) error = runProbe(stream_);
  if (error == cudaSuccess) return;
  cudaGetLastError();
  if (stream_) cudaStreamDestroy(stream_);
  const std::string gpu = name_.empty() ? "the GPU" : name_;
  if (isMissingCode(error))
    unavailable(Cause::noKernelImage, "this build has no kernels for " + gpu + ": " + describe(error) +
                                          ". Build with FUSED_LORA_CUDA_ARCHS set to its architecture");
  if (error == cudaErrorMemoryAllocation)
    unavailable(Cause::notWorking, gpu + " has no memory left for this process: " + describe(error) +
                                       ". Free it from other programs (nvidia-smi lists them)");
  unavailable(Cause::notWorking, gpu + " does not work: " + describe(error) + ". See what nvidia-smi says");
}

void Device::synchronize() {
  requireHealthy();
  check(cudaStreamSynchronize(stream_), "waiting for the GPU");
}

double Device::time(const std::function<void()>& work) {
  requireHealthy();
  const std::lock_guard lock(timeMutex_);
  const char* const what = "timing the GPU";
  if (start_ == nullptr) check(cudaEventCreateWithFlags(&start_, cudaEventDefault), what);
  if (stop_ == nullptr) check(cudaEventCreateWithFlags(&stop_, cudaEventDefault), what);
  check(cudaEventRecord(start_, stream_), what);
  work();
  check(cudaEventRecord(stop_, stream_), what);
  check(cudaEventSynchronize(stop_), what);
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, start_, stop_), what);
  return static_cast<double>(milliseconds) / 1000;
}

Device::Scratch Device::scratch(int64_t count) {
  Scratch result;
  if (Capture* const capture = Capture::current()) {
    // The recording's owner holds the lock, and grows the memory where this is too much for it.
    if (count > capture->scratchNeeded) capture->scratchNeeded = count;
    result.data_ = scratch_;
    return result;
  }
  result.lock_ = lockScratch();
  growScratch(count);
  result.data_ = scratch_;
  return result;
}

void Device::growScratch(int64_t count) {
  if (count <= scratchCount_) return;
  deviceMemory().release(scratch_);
  scratch_ = nullptr;
  scratchCount_ = 0;
  scratch_ = static_cast<float*>(deviceMemory().allocate(static_cast<size_t>(count) * sizeof(float)));
  scratchCount_ = count;
}

}  // namespace cuda

std::string_view nameOf(CudaReport::Cause cause) {
  switch (cause) {
    case CudaReport::Cause::none:
      return "none";
    case CudaReport::Cause::noDriver:
      return "noDriver";
    case CudaReport::Cause::driverTooOld:
      return "driverTooOld";
    case CudaReport::Cause::noDevice:
      return "noDevice";
    case CudaReport::Cause::unsupportedDevice:
      return "unsupportedDevice";
    case CudaReport::Cause::noKernelImage:
      return "noKernelImage";
    case CudaReport::Cause::notWorking:
      return "notWorking";
    case CudaReport::Cause::failed:
      return "failed";
  }
  return "";
}

CudaReport cudaReport() {
  using Cause = CudaReport::Cause;
  CudaReport report;
  cudaDriverGetVersion(&report.driver);
  cudaRuntimeGetVersion(&report.runtime);
  report.graphs = cuda::graphsWanted();
  bool opened = false;
  try {
    cuda::Device& device = cuda::Device::instance();
    opened = true;
    report.device = device.name();
    report.computeCapability = device.computeCapability();
    report.launches = device.launches();
    cuda::requireHealthy();
    if (cudaMemGetInfo(&report.freeBytes, &report.totalBytes) != cudaSuccess) cudaGetLastError();
    report.usedBytes = cuda::memoryInUse().now;
    report.peakBytes = cuda::memoryInUse().peak;
  } catch (const Error& error) {
    report.cause = opened ? Cause::failed : cuda::lastCause;
    report.reason = error.what();
  }
  return report;
}

}  // namespace fl
