// The GPU's side of runtime/memory.h, for parameters and arenas.
// Scratch memory of an op comes from Device::scratch (device.h).
#pragma once

#include "ops/backend.h"
#include "runtime/memory.h"

namespace fl::cuda {

/// cudaMalloc'ed and zeroed. Copies run on the device's stream, after the work that is there. Host
/// memory is free to change when `upload` returns, and filled when `download` returns.
Memory& deviceMemory();

struct MemoryInUse {
  size_t now, peak;
};
MemoryInUse memoryInUse();

/// Copies to the GPU that the host does not wait for, as one where the targets lie close together.
void uploadTogether(std::span<const HostCopy> copies);

}  // namespace fl::cuda
