// Which compiled copy of the CPU kernels this process runs: names of instruction sets, and the one
// selected. The tables of kernels for each are in cpu/dispatch.h, the compiler's flags in
// cmake/CpuVariants.cmake.
#pragma once

#include <string_view>

namespace fl {

/// Ordered: a CPU that has one has all before it. avx2 includes FMA; avx512 means F, BW, VL and DQ;
/// avx512bf16 adds AVX512_BF16, which the products of precision bf16 use (all else is that of
/// avx512).
enum class Isa { portable, avx2, avx512, avx512bf16 };
inline constexpr Isa kAllIsas[] = {Isa::portable, Isa::avx2, Isa::avx512, Isa::avx512bf16};

std::string_view nameOf(Isa isa);

/// The best one that this CPU and operating system can run.
Isa bestIsa();

/// bestIsa(), or what the environment variable FUSED_LORA_CPU_ISA names ('portable', 'avx2',
/// 'avx512', 'avx512bf16'): for tests and measurements. Read once. Throws INVALID_ARGUMENT for an
/// unknown name or one that this CPU lacks.
Isa selectedIsa();

}  // namespace fl
