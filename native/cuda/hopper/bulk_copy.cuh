// The copy engine between memory and shared memory (cp.async.bulk.tensor), and the barriers in
// shared memory that say when its copies have arrived: PTX on compute capability 9.0; in the
// emulator a copy arrives no sooner than it is waited for, and its place holds NaN until then.
// Where a box lies is tensor_map.h's.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/hopper/tensor_map.h"

namespace fl::cuda::hopper {

/// An address as descriptors and instructions on shared memory take it.
__device__ inline uint32_t sharedAddress(const void* shared) {
#if defined(__CUDACC__)
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
#else
  return emulator::sharedAddress(shared);
#endif
}

/// An mbarrier: a phase ends when `count` arrivals and all bytes expected in it are there; phases
/// count from 0.
struct SharedBarrier {
  uint64_t word;

  /// By one thread; then fenceBarriers and a barrier of all that use it.
  __device__ void init(int count) {
#if defined(__CUDACC__)
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(sharedAddress(this)), "r"(count) : "memory");
#else
    emulator::initBarrier(this, count);
#endif
  }

  __device__ void arrive() {
#if defined(__CUDACC__)
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(sharedAddress(this)) : "memory");
#else
    emulator::arrive(this, 0);
#endif
  }

  /// At the same barrier of block `rank` of the cluster, own or other.
  __device__ void arriveAt(int rank) {
#if defined(__CUDACC__)
    asm volatile(
        "{\n.reg .b32 remote;\nmapa.shared::cluster.u32 remote, %0, %1;\n"
        "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [remote];\n}\n" ::"r"(sharedAddress(this)),
        "r"(rank)
        : "memory");
#else
    emulator::arrive(emulator::ofBlock(this, rank), 0);
#endif
  }

  /// Arrives and lets the phase wait for that many bytes more.
  __device__ void arriveExpecting(int bytes) {
#if defined(__CUDACC__)
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(sharedAddress(this)), "r"(bytes)
                 : "memory");
#else
    emulator::arrive(this, bytes);
#endif
  }

  /// Until the phase with that parity is over. A barrier that has seen no phase end passes for
  /// parity 1.
  __device__ void wait(uint32_t parity) {
#if defined(__CUDACC__)
    asm volatile(
        "{\n.reg .pred done;\nagain:\nmbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        "@!done bra again;\n}\n" ::"r"(sharedAddress(this)),
        "r"(parity)
        : "memory");
#else
    emulator::waitForPhase(this, parity);
#endif
  }
};

/// Makes barriers' first state known to the copy engine and to the cluster.
__device__ inline void fenceBarriers() {
#if defined(__CUDACC__)
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

/// Before the copy engine reads what this thread wrote to shared memory, then a barrier.
__device__ inline void fenceForCopies() {
#if defined(__CUDACC__)
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

/// Begins to copy the box of `map` at (row, col) to shared memory; `barrier` gets its bytes. What
/// lies outside of the tensor becomes zero.
__device__ inline void loadBox(const TensorMap& map, void* shared, SharedBarrier& barrier, int row, int col) {
#if defined(__CUDACC__)
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(
          sharedAddress(shared)),
      "l"(&map), "r"(col), "r"(row), "r"(sharedAddress(&barrier))
      : "memory");
#else
  emulator::loadBox(map.words, shared, &barrier, row, col, 1u << emulator::clusterRank());
#endif
}

/// The same into every block of the cluster that `blocks` has a bit for, at the same place and
/// barrier of each.
__device__ inline void loadBoxInto(uint16_t blocks, const TensorMap& map, void* shared, SharedBarrier& barrier, int row,
                                   int col) {
#if defined(__CUDACC__)
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], "
      "[%1, {%2, %3}], [%4], %5;" ::"r"(sharedAddress(shared)),
      "l"(&map), "r"(col), "r"(row), "r"(sharedAddress(&barrier)), "h"(blocks)
      : "memory");
#else
  emulator::loadBox(map.words, shared, &barrier, row, col, blocks);
#endif
}

/// Begins to copy a box to memory; what lies outside of the tensor is not written.
__device__ inline void storeBox(const TensorMap& map, const void* shared, int row, int col) {
#if defined(__CUDACC__)
  asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%1, %2}], [%3];" ::"l"(&map), "r"(col),
               "r"(row), "r"(sharedAddress(shared))
               : "memory");
#else
  emulator::storeBox(map.words, shared, row, col);
#endif
}

/// The thread's stores since the last call are one group.
__device__ inline void endStores() {
#if defined(__CUDACC__)
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
#else
  emulator::endStores();
#endif
}

/// Until shared memory has been read by all but the last `left` groups of the thread.
template <int left>
__device__ inline void waitForReads() {
#if defined(__CUDACC__)
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(left) : "memory");
#else
  emulator::waitForReads(left);
#endif
}

}  // namespace fl::cuda::hopper
