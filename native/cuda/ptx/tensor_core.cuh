// The tensor core's product of 16 x 16 and 16 x 8 bf16 values, and what feeds it: PTX on a GPU, the
// same on the CPU in emulator/tensor_core.cc. Fragments are those of the PTX manual, "Matrix
// Fragments for mma.m16n8k16 with floating point type"; g = lane / 4, t = lane % 4:
//   a[0] (row g, k 2t..)      a[1] (row g + 8, k 2t..)
//   a[2] (row g, k 2t + 8..)  a[3] (row g + 8, k 2t + 8..)
//   b[0] (k 2t.., col g)  b[1] (k 2t + 8.., col g)
//   c[0..1] (row g, col 2t..)  c[2..3] (row g + 8, col 2t..)
// A register has two neighbouring k, the first in its low half. int8: multiplyAddCodes.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace fl::cuda {

/// Two floats rounded to bf16 (nearest, ties to even), `low` in the low half.
__device__ inline uint32_t packBf16(float low, float high) {
#if defined(__CUDACC__)
  uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
#else
  return emulator::packBf16(low, high);
#endif
}

/// c += a b: exact products, fp32 sums. By all lanes of a warp together.
__device__ inline void multiplyAdd(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if defined(__CUDACC__)
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  emulator::multiplyAdd(c, a, b0, b1);
#endif
}

/// c += a b of int8 codes, 16 x 32 and 32 x 8: exact, modulo 2^32. Fragments are those of m16n8k16
/// above with two codes for each value of bf16, in the order of k.
__device__ inline void multiplyAddCodes(int (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#if defined(__CUDACC__)
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  emulator::multiplyAddCodes(c, a, b0, b1);
#endif
}

/// Four 8 x 8 matrices of bf16 from shared memory. Lanes 8 i .. 8 i + 7 give the rows of matrix i,
/// 16 bytes each; of matrix i every lane gets, in value[i], elements 2t and 2t + 1 of row g, or,
/// transposed, of column g.
template <bool transposed>
__device__ inline void loadMatrices(uint32_t (&value)[4], const void* row) {
#if defined(__CUDACC__)
  const auto at = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(value[0]), "=r"(value[1]), "=r"(value[2]), "=r"(value[3])
                 : "r"(at)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(value[0]), "=r"(value[1]), "=r"(value[2]), "=r"(value[3])
                 : "r"(at)
                 : "memory");
#else
  emulator::loadMatrices(value, row, transposed);
#endif
}

}  // namespace fl::cuda
