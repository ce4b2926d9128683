// Questions about the stand-in device, and the errors: the last one of each thread, and the one
// that stays. Which faults can be asked for is in faults.h.
#include "device.h"

#include <cuda_runtime.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "faults.h"

namespace fl::emulator {

std::optional<long> fault(std::string_view name) {
  static const std::string& list = *new std::string([] {
    const char* text = std::getenv("FUSED_LORA_EMULATOR_FAULT");
    return text ? text : "";
  }());
  for (size_t begin = 0; begin < list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const std::string_view entry = std::string_view(list).substr(begin, end - begin);
    const size_t equals = std::min(entry.find('='), entry.size());
    if (entry.substr(0, equals) == name)
      return equals < entry.size() ? std::strtol(entry.data() + equals + 1, nullptr, 10) : 0;
    begin = end + 1;
  }
  return std::nullopt;
}

namespace {

thread_local cudaError_t lastError = cudaSuccess;

}  // namespace

std::recursive_mutex& deviceMutex() {
  static std::recursive_mutex& mutex = *new std::recursive_mutex;
  return mutex;
}

cudaError_t& stickyError() {
  static cudaError_t error = cudaSuccess;
  return error;
}

cudaError_t answer(cudaError_t error) {
  if (error == cudaSuccess) error = stickyError();
  if (error != cudaSuccess) lastError = error;
  return error;
}

cudaError_t noDevice() {
  if (fault("noDriver") || fault("driver")) return cudaErrorInsufficientDriver;
  return fault("noDevice") ? cudaErrorNoDevice : cudaSuccess;
}

}  // namespace fl::emulator

using fl::emulator::answer;
using fl::emulator::fault;

namespace {

struct Name {
  cudaError_t error;
  const char *name, *text;
};
constexpr Name kNames[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice",
     "no kernel image is available for execution on the device"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorGraphExecUpdateFailure, "cudaErrorGraphExecUpdateFailure",
     "the graph update was not performed because it included changes which violated constraints"},
};

const Name* find(cudaError_t error) {
  for (const Name& name : kNames)
    if (name.error == error) return &name;
  return nullptr;
}

}  // namespace

const char* cudaGetErrorString(cudaError_t error) {
  const Name* name = find(error);
  return name ? name->text : "emulated error";
}

const char* cudaGetErrorName(cudaError_t error) {
  const Name* name = find(error);
  return name ? name->name : "cudaError";
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = fault("noDriver") ? 0 : static_cast<int>(fault("driver").value_or(13000));
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  const cudaError_t error = fl::emulator::noDevice();
  *count = error == cudaSuccess ? 1 : 0;
  return answer(error);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  const auto capability = static_cast<int>(fault("capability").value_or(80));
  *properties = {"emulated GPU", capability / 10, capability % 10, fl::emulator::totalMemory()};
  return answer(fl::emulator::noDevice());
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = fl::emulator::lastError;
  fl::emulator::lastError = fl::emulator::stickyError();
  return error;
}
