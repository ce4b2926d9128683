// The warpgroup's product of 64 x 16 and 16 x N bf16 values, sums in fp32: PTX on compute
// capability 9.0, the same on the CPU in the emulator. By all 128 threads of a warpgroup together.
// Operands lie as swizzle.h says. Sums of thread t, g = t / 4 % 8, q = t % 4:
//   d[4 j + i]: row 16 (t / 32) + g + 8 (i / 2), column 8 j + 2 q + i % 2
// which is how a[] of multiplyFrom takes 16 columns j of them as 16 steps (PTX manual, "Register
// fragments for wgmma.mma_async.m64nNk16").
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace fl::cuda::hopper {

/// Before the first product, and whenever registers of one were touched: wgmma.fence.
__device__ inline void beginProducts() {
#if defined(__CUDACC__)
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#else
  emulator::beginProducts();
#endif
}

/// The products since the last call are one group.
__device__ inline void endProducts() {
#if defined(__CUDACC__)
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#else
  emulator::endProducts();
#endif
}

/// Waits until no more than `left` groups, the last ones, are under way.
template <int left>
__device__ inline void waitForProducts() {
#if defined(__CUDACC__)
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(left) : "memory");
#else
  emulator::waitForProducts(left);
#endif
}

#if defined(__CUDACC__)
// One instruction has a register operand a sum: lists of eight, put together for each N.
#define FL_SUMS_0 "%0,%1,%2,%3,%4,%5,%6,%7"
#define FL_SUMS_8 FL_SUMS_0 ",%8,%9,%10,%11,%12,%13,%14,%15"
#define FL_SUMS_16 FL_SUMS_8 ",%16,%17,%18,%19,%20,%21,%22,%23"
#define FL_SUMS_24 FL_SUMS_16 ",%24,%25,%26,%27,%28,%29,%30,%31"
#define FL_SUMS_32 FL_SUMS_24 ",%32,%33,%34,%35,%36,%37,%38,%39"
#define FL_SUMS_40 FL_SUMS_32 ",%40,%41,%42,%43,%44,%45,%46,%47"
#define FL_SUMS_48 FL_SUMS_40 ",%48,%49,%50,%51,%52,%53,%54,%55"
#define FL_SUMS_56 FL_SUMS_48 ",%56,%57,%58,%59,%60,%61,%62,%63"
#define FL_SUMS_64 FL_SUMS_56 ",%64,%65,%66,%67,%68,%69,%70,%71"
#define FL_SUMS_72 FL_SUMS_64 ",%72,%73,%74,%75,%76,%77,%78,%79"
#define FL_SUMS_80 FL_SUMS_72 ",%80,%81,%82,%83,%84,%85,%86,%87"
#define FL_SUMS_88 FL_SUMS_80 ",%88,%89,%90,%91,%92,%93,%94,%95"
#define FL_SUMS_96 FL_SUMS_88 ",%96,%97,%98,%99,%100,%101,%102,%103"
#define FL_SUMS_104 FL_SUMS_96 ",%104,%105,%106,%107,%108,%109,%110,%111"
#define FL_SUMS_112 FL_SUMS_104 ",%112,%113,%114,%115,%116,%117,%118,%119"
#define FL_SUMS_120 FL_SUMS_112 ",%120,%121,%122,%123,%124,%125,%126,%127"
#define FL_EIGHT(i)                                                                                           \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), \
      "+f"(d[i + 7])
#define FL_REGISTERS_24 FL_EIGHT(0), FL_EIGHT(8), FL_EIGHT(16), FL_EIGHT(24)
#define FL_REGISTERS_32 FL_REGISTERS_24, FL_EIGHT(32)
#define FL_REGISTERS_56 FL_REGISTERS_32, FL_EIGHT(40), FL_EIGHT(48), FL_EIGHT(56)
#define FL_REGISTERS_64 FL_REGISTERS_56, FL_EIGHT(64)
#define FL_REGISTERS_72 FL_REGISTERS_64, FL_EIGHT(72)
#define FL_REGISTERS_88 FL_REGISTERS_72, FL_EIGHT(80), FL_EIGHT(88)
#define FL_REGISTERS_96 FL_REGISTERS_88, FL_EIGHT(96)
#define FL_REGISTERS_104 FL_REGISTERS_96, FL_EIGHT(104)
#define FL_REGISTERS_120 FL_REGISTERS_104, FL_EIGHT(112), FL_EIGHT(120)

/// N columns; last: where the last eight sums begin (N / 2 - 8); the operands after them are
/// numbered from N / 2.
#define FL_PRODUCT(N, last, a, b, keep, across)                                                        \
  if constexpr (columns == N)                                                                          \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" keep ", 0;\nwgmma.mma_async.sync.aligned.m64n" #N  \
               "k16.f32.bf16.bf16 {" FL_SUMS_##last "}, %" a ", %" b ", p, 1, 1, 0, %" across ";\n}\n" \
               : FL_REGISTERS_##last                                                                   \
               : "l"(descriptorA), "l"(descriptorB), "r"(static_cast<int>(accumulate)), "n"(acrossB ? 1 : 0))
#define FL_PRODUCT_FROM(N, last, a0, a1, a2, a3, b, keep, across)                                                     \
  if constexpr (columns == N)                                                                                         \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" keep ", 0;\nwgmma.mma_async.sync.aligned.m64n" #N                 \
               "k16.f32.bf16.bf16 {" FL_SUMS_##last "}, {%" a0 ",%" a1 ",%" a2 ",%" a3 "}, %" b ", p, 1, 1, %" across \
                                                    ";\n}\n"                                                          \
               : FL_REGISTERS_##last                                                                                  \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(descriptorB), "r"(1), "n"(acrossB ? 1 : 0))
#endif

/// d = a b, or d += a b: both from shared memory by their descriptors, a along the depth.
/// @param acrossB b's lines are across the depth ([depth, columns]), else along it.
template <int columns, bool acrossB, int sums>
__device__ __forceinline__ void multiply(float (&d)[sums], uint64_t descriptorA, uint64_t descriptorB,
                                         bool accumulate) {
  static_assert(sums >= columns / 2);
#if defined(__CUDACC__)
  FL_PRODUCT(64, 24, "32", "33", "34", "35");
  FL_PRODUCT(80, 32, "40", "41", "42", "43");
  FL_PRODUCT(128, 56, "64", "65", "66", "67");
  FL_PRODUCT(144, 64, "72", "73", "74", "75");
  FL_PRODUCT(192, 88, "96", "97", "98", "99");
  FL_PRODUCT(208, 96, "104", "105", "106", "107");
  FL_PRODUCT(224, 104, "112", "113", "114", "115");
  FL_PRODUCT(256, 120, "128", "129", "130", "131");
#else
  emulator::multiply(d, columns, descriptorA, descriptorB, acrossB, accumulate);
#endif
}

/// d += a b with a, [64, 16], in registers (four words a thread, as mma.sync.m16n8k16 has them).
template <int columns, bool acrossB, int sums>
__device__ __forceinline__ void multiplyFrom(float (&d)[sums], const uint32_t (&a)[4], uint64_t descriptorB) {
  static_assert(sums >= columns / 2);
#if defined(__CUDACC__)
  FL_PRODUCT_FROM(64, 24, "32", "33", "34", "35", "36", "37", "38");
  FL_PRODUCT_FROM(128, 56, "64", "65", "66", "67", "68", "69", "70");
  FL_PRODUCT_FROM(192, 88, "96", "97", "98", "99", "100", "101", "102");
#else
  emulator::multiplyFrom(d, columns, a, descriptorB, acrossB);
#endif
}

}  // namespace fl::cuda::hopper
