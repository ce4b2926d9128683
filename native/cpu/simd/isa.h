// Which compiled copy of the CPU kernels this process runs: names of instruction sets, and the one
// selected. The tables of kernels for each are in cpu/dispatch.h, the compiler's flags in
// cmake/CpuVariants.cmake.
#pragma once

#include <string_view>

namespace fl {

/// Ordered: a CPU that has one has all before it, but for avxvnni, which is AVX_VNNI without
/// AVX-512 in use. avx2 includes FMA; avx512 means F, BW, VL and DQ. Products of int8 use AVX_VNNI
/// and AVX512_VNNI, those of precision bf16 AVX512_BF16, and both the tiles of AMX; all else is
/// that of avx2 or avx512.
enum class Isa { portable, avx2, avxvnni, avx512, avx512vnni, avx512bf16, amx };
inline constexpr Isa kAllIsas[] = {Isa::portable,   Isa::avx2,       Isa::avxvnni, Isa::avx512,
                                   Isa::avx512vnni, Isa::avx512bf16, Isa::amx};

std::string_view nameOf(Isa isa);

/// Whether this CPU and operating system can run it, and the best that they can.
bool canRun(Isa isa);
Isa bestIsa();

/// bestIsa(), or what the environment variable FUSED_LORA_CPU_ISA names (`nameOf`): for tests and
/// measurements. Read once. Throws INVALID_ARGUMENT for an unknown name or one that can not run.
Isa selectedIsa();

}  // namespace fl
