// Blocks of a cluster and warpgroups of a block: who one is, barriers, and registers handed over.
// Copies and the barriers that count their bytes: bulk_copy.cuh.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace fl::cuda::hopper {

__device__ inline int clusterRank() {
#if defined(__CUDACC__)
  uint32_t rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return static_cast<int>(rank);
#else
  return emulator::clusterRank();
#endif
}

/// All threads of all blocks of the cluster.
__device__ inline void clusterBarrier() {
#if defined(__CUDACC__)
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
#else
  emulator::clusterBarrier();
#endif
}

/// The 128 threads of a warpgroup; `id` from 1, one for each.
__device__ inline void warpgroupBarrier(int id) {
#if defined(__CUDACC__)
  asm volatile("bar.sync %0, 128;" ::"r"(id) : "memory");
#else
  emulator::namedBarrier(id, 128);
#endif
}

/// All warps of a warpgroup give registers back, or take them.
template <int registers>
__device__ inline void giveRegisters() {
#if defined(__CUDACC__)
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
#endif
}
template <int registers>
__device__ inline void takeRegisters() {
#if defined(__CUDACC__)
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
#endif
}

}  // namespace fl::cuda::hopper
