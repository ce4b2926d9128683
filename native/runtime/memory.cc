// The host as a device: memory in multiples of 64 bytes, copies by memcpy.
// The GPU's is cuda/device/memory.cc.
#include "runtime/memory.h"

#include <cstring>
#include <string>

#include "platform/memory.h"
#include "runtime/error.h"

namespace fl {

void* HostMemory::allocate(size_t bytes) {
  const size_t rounded = (bytes + 63) / 64 * 64;
  void* memory = rounded < bytes ? nullptr : platform::alignedAllocate(rounded ? rounded : 64);
  if (!memory) fail("OUT_OF_MEMORY", "could not get " + std::to_string(bytes) + " bytes of memory");
  std::memset(memory, 0, rounded);
  return memory;
}

void HostMemory::release(void* memory) { platform::alignedFree(memory); }

void HostMemory::upload(void* device, const void* host, size_t bytes) {
  if (bytes) std::memcpy(device, host, bytes);
}

void HostMemory::download(void* host, const void* device, size_t bytes) {
  if (bytes) std::memcpy(host, device, bytes);
}

void HostMemory::zero(void* device, size_t bytes) { std::memset(device, 0, bytes); }

HostMemory& hostMemory() {
  static HostMemory memory;
  return memory;
}

}  // namespace fl
