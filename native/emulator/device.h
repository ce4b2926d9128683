// What the files of the stand-in for the CUDA runtime share: the lock, the error that stays, sizes.
// Its interface to native/cuda is runtime_api.h.
#pragma once

#include <cuda_runtime.h>

#include <mutex>

namespace fl::emulator {

/// Held by every call that touches streams, memory or graphs.
std::recursive_mutex& deviceMutex();

/// Set by a kernel that faults: every later call answers with it.
cudaError_t& stickyError();
/// The answer of a call: `error`, or else the one that stays.
cudaError_t answer(cudaError_t error);
/// Why there is no device; cudaSuccess where there is one.
cudaError_t noDevice();

size_t totalMemory();
bool isPinned(const void* memory);

/// Runs what all streams have that are not recorded.
void drainAll();

/// Whether the calling thread records a stream; what may not be called then invalidates the
/// recording.
bool refuseWhileCapturing();

}  // namespace fl::emulator
