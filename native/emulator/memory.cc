// Memory of the stand-in device: the CPU's, filled with NaN, of a bounded amount.
// Copies wait in the queues of stream.cc.
#include <cstdlib>
#include <cstring>
#include <map>

#include "device.h"
#include "faults.h"

namespace {

constexpr size_t kHeader = 256;
using Guard = std::lock_guard<std::recursive_mutex>;
using fl::emulator::answer;
using fl::emulator::deviceMutex;
size_t used = 0;

size_t& sizeOf(void* memory) { return *reinterpret_cast<size_t*>(static_cast<char*>(memory) - kHeader); }

/// Begin and end of each block of pinned memory.
std::map<const char*, const char*>& pinned() {
  static auto& blocks = *new std::map<const char*, const char*>;
  return blocks;
}

}  // namespace

namespace fl::emulator {

size_t totalMemory() { return static_cast<size_t>(fault("memory").value_or(4096)) << 20; }

bool isPinned(const void* memory) {
  const auto* at = static_cast<const char*>(memory);
  auto block = pinned().upper_bound(at);
  return block != pinned().begin() && at < (--block)->second;
}

}  // namespace fl::emulator

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  const Guard guard(deviceMutex());
  if (fl::emulator::refuseWhileCapturing()) return answer(cudaErrorStreamCaptureUnsupported);
  if (bytes > fl::emulator::totalMemory() - used) return answer(cudaErrorMemoryAllocation);
  const size_t whole = (kHeader + bytes + kHeader - 1) / kHeader * kHeader;
  auto* const base = static_cast<char*>(std::aligned_alloc(kHeader, whole));
  if (base == nullptr) return answer(cudaErrorMemoryAllocation);
  std::memset(base, 0xFF, whole);  // reads as NaN
  *memory = base + kHeader;
  sizeOf(*memory) = bytes;
  used += bytes;
  return answer(cudaSuccess);
}

cudaError_t cudaFree(void* memory) {
  const Guard guard(deviceMutex());
  if (memory == nullptr) return answer(cudaSuccess);
  if (fl::emulator::refuseWhileCapturing()) return answer(cudaErrorStreamCaptureUnsupported);
  fl::emulator::drainAll();
  if (fl::emulator::stickyError() != cudaSuccess) return answer(cudaSuccess);
  used -= sizeOf(memory);
  std::free(static_cast<char*>(memory) - kHeader);
  return answer(cudaSuccess);
}

cudaError_t cudaMallocHost(void** memory, size_t bytes) {
  const Guard guard(deviceMutex());
  if (fl::emulator::refuseWhileCapturing()) return answer(cudaErrorStreamCaptureUnsupported);
  *memory = fl::emulator::fault("noPinned") ? nullptr : std::malloc(bytes);
  if (*memory == nullptr) return answer(cudaErrorMemoryAllocation);
  auto* const begin = static_cast<const char*>(*memory);
  pinned()[begin] = begin + bytes;
  return answer(cudaSuccess);
}

cudaError_t cudaFreeHost(void* memory) {
  const Guard guard(deviceMutex());
  pinned().erase(static_cast<const char*>(memory));
  std::free(memory);
  return answer(cudaSuccess);
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = fl::emulator::totalMemory() - used;
  *total = fl::emulator::totalMemory();
  return answer(cudaSuccess);
}
