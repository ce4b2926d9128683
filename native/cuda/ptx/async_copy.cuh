// Copies from memory to shared memory that go on while the thread computes (cp.async): PTX on a
// GPU; in the emulator a copy arrives no sooner than it is waited for. Products use it for their
// slabs (cuda/gemm/product_bf16.cu).
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace fl::cuda {

/// Begins to copy `size` bytes, 4 or 16, both sides aligned to that; the first `valid` of them, the
/// rest becomes zero. With valid = 0 nothing is read.
template <int size>
__device__ inline void beginCopy(void* shared, const void* from, int valid) {
  static_assert(size == 4 || size == 16);
#if defined(__CUDACC__)
  const auto to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  if constexpr (size == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(valid) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to), "l"(from), "r"(valid) : "memory");
#else
  emulator::beginCopy(shared, from, size, valid);
#endif
}

/// The copies begun since the last call are one group.
__device__ inline void endCopyGroup() {
#if defined(__CUDACC__)
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  emulator::endCopyGroup();
#endif
}

/// Waits until no more than `left` of this thread's groups, the last ones, are under way. What
/// other threads copied is there after a barrier besides.
template <int left>
__device__ inline void waitForCopies() {
#if defined(__CUDACC__)
  asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
#else
  emulator::waitForCopies(left);
#endif
}

}  // namespace fl::cuda
