// Stands in for the CUDA runtime, so that the kernels of native/cuda can be compiled by the C++
// compiler and run on the CPU: the test executable built with it (CMakeLists.txt,
// fused_lora_emulated_test) holds every CUDA op against the reference where there is no GPU. It
// shows what the kernels compute, not that a GPU runs them: neither memory order between threads
// nor speed is a GPU's.
//
// Threads of a block run in turns, one at a time, and change at barriers and warp operations only.
// Kernels may use what is declared here; inline PTX and `extern __shared__` only behind functions
// that have both forms (cuda/ptx/tensor_core.cuh, cuda/ptx/async_copy.cuh, cuda/ops/shared.cuh).
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#define FUSED_LORA_EMULATED 1
#define __global__
#define __grid_constant__
#define __device__
#define __host__
#define __shared__ static
#define __constant__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3() = default;
  explicit dim3(unsigned x_, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

void __syncthreads();
inline int __ffs(int word) { return __builtin_ffs(word); }
inline int __popc(unsigned word) { return __builtin_popcount(word); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline int __float2int_rn(float x) { return static_cast<int>(std::nearbyint(x)); }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
template <class T>
T __ldg(const T* from) {
  return *from;
}

namespace fl::emulator {

/// Shows `value` to the lanes of the calling thread's warp and returns what all of them show: 32
/// words, and which of them are there.
struct Shown {
  const uint64_t* words;
  unsigned present;
};
Shown show(uint64_t value);
int lane();

/// The same with the six words of a lane's operands of mma.sync.
struct ShownFragments {
  const std::array<uint32_t, 6>* words;
};
ShownFragments showFragments(const std::array<uint32_t, 6>& fragments);

/// The block's shared memory of the size that the launch gave.
void* dynamicShared();

// What cuda/ptx/tensor_core.cuh and cuda/ptx/async_copy.cuh describe.
uint32_t packBf16(float low, float high);
void multiplyAdd(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);
void multiplyAddCodes(int (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);
void loadMatrices(uint32_t (&value)[4], const void* row, bool transposed);
void beginCopy(void* shared, const void* from, int size, int valid);
void endCopyGroup();
void waitForCopies(int left);
/// Whether a thread that returns has waited for all its copies; forgets them.
bool copiesAreDone(unsigned thread);

}  // namespace fl::emulator

namespace fl::emulator {

/// The value of lane `from`, the caller's own where there is no such lane. Reading from a lane that
/// has returned is an error in the kernel.
template <class T>
T shuffle(T value, int from) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t word = 0;
  __builtin_memcpy(&word, &value, sizeof(T));
  const Shown shown = show(word);
  if (from < 0 || from > 31) return value;
  if ((shown.present >> from & 1) == 0) __builtin_trap();
  __builtin_memcpy(&value, &shown.words[from], sizeof(T));
  return value;
}

}  // namespace fl::emulator

// Masks are taken to be all lanes that have not returned.
template <class T>
T __shfl_sync(unsigned, T value, int from) {
  return fl::emulator::shuffle(value, from & 31);
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int distance) {
  return fl::emulator::shuffle(value, fl::emulator::lane() ^ distance);
}
template <class T>
T __shfl_down_sync(unsigned, T value, int distance) {
  return fl::emulator::shuffle(value, fl::emulator::lane() + distance);
}
template <class T>
T __shfl_up_sync(unsigned, T value, int distance) {
  return fl::emulator::shuffle(value, fl::emulator::lane() - distance);
}
inline void __syncwarp(unsigned = 0xFFFFFFFFu) { fl::emulator::show(0); }

inline unsigned __ballot_sync(unsigned, bool predicate) {
  const fl::emulator::Shown shown = fl::emulator::show(predicate);
  unsigned word = 0;
  for (int i = 0; i < 32; i++)
    if ((shown.present >> i & 1) != 0 && shown.words[i] != 0) word |= 1u << i;
  return word;
}

inline int __any_sync(unsigned mask, bool predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, bool predicate) { return __ballot_sync(mask, !predicate) == 0; }

#include "hopper.h"
#include "runtime_api.h"
