// How errors of the CUDA runtime become fl::Error, and the failure that stays.
// Why a device can not be opened at all is device.cc's to say.
#pragma once

#include <cuda_runtime.h>

#include <string>

namespace fl::cuda {

/// Throws when `error` is one; `what` says what was being done ("loraLinear"). A lack of memory
/// (kernels are loaded when they are first launched) is OUT_OF_MEMORY; another error that leaves
/// the GPU usable is a bug here: INTERNAL. One that stays (a kernel's fault, a lost device) marks
/// the device as failed: DEVICE_UNAVAILABLE, now and from every later call, since CUDA recovers
/// from it only in a new process.
void check(cudaError_t error, const char* what);

/// Throws DEVICE_UNAVAILABLE when the device has failed before.
void requireHealthy();

/// Throws OUT_OF_MEMORY: `need` ("512 bytes (1 MiB) more are needed"), and the bytes that are free.
[[noreturn]] void outOfMemory(const std::string& need);
/// "512 bytes (1 MiB)"
std::string amountOf(size_t bytes);

/// "out of memory (cudaErrorMemoryAllocation)"
std::string describe(cudaError_t error);

}  // namespace fl::cuda
