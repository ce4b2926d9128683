// Memory and the questions about the device: the CPU's memory, calls that are done on return.
#include <cuda_runtime.h>

#include <cstdlib>
#include <cstring>

namespace {

/// Enough for the tests, and a bound that the test of OUT_OF_MEMORY can exceed.
constexpr size_t kTotal = size_t{4} << 30;
constexpr size_t kHeader = 256;
size_t used = 0;

size_t& sizeOf(void* memory) { return *reinterpret_cast<size_t*>(static_cast<char*>(memory) - kHeader); }

}  // namespace

const char* cudaGetErrorString(cudaError_t error) { return error == cudaSuccess ? "no error" : "emulated error"; }
const char* cudaGetErrorName(cudaError_t error) { return error == cudaSuccess ? "cudaSuccess" : "cudaError"; }

cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {"emulated GPU", 8, 0, kTotal};
  return cudaSuccess;
}

cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = nullptr;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  if (bytes > kTotal - used) return cudaErrorMemoryAllocation;
  const size_t whole = (kHeader + bytes + kHeader - 1) / kHeader * kHeader;
  auto* const base = static_cast<char*>(std::aligned_alloc(kHeader, whole));
  if (base == nullptr) return cudaErrorMemoryAllocation;
  std::memset(base, 0xFF, whole);  // reads as NaN
  *memory = base + kHeader;
  sizeOf(*memory) = bytes;
  used += bytes;
  return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
  if (memory == nullptr) return cudaSuccess;
  used -= sizeOf(memory);
  std::free(static_cast<char*>(memory) - kHeader);
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** memory, size_t bytes) {
  *memory = std::malloc(bytes);
  return *memory == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = nullptr;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = kTotal - used;
  *total = kTotal;
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t) {
  std::memset(memory, value, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
