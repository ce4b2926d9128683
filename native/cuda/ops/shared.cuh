// Shared memory whose size the launch gives (launchShared in cuda/device/launch.h).
// Fixed sizes are declared where they are used.
#pragma once

#include <cuda_runtime.h>

namespace fl::cuda {

/// 16-byte aligned; the same memory in every call of a block.
template <class T>
__device__ inline T* dynamicShared() {
#if defined(__CUDACC__)
  extern __shared__ __align__(16) unsigned char sharedBytes[];
  return reinterpret_cast<T*>(sharedBytes);
#else
  return static_cast<T*>(emulator::dynamicShared());
#endif
}

}  // namespace fl::cuda
