// Which compiled copy of the CPU kernels this process runs.
#pragma once

#include <string_view>

namespace fl {

/// Ordered: a CPU that has one has all before it. avx2 includes FMA; avx512 means F, BW, VL and DQ.
enum class Isa { portable, avx2, avx512 };

std::string_view nameOf(Isa isa);

/// The best one that this CPU and operating system can run.
Isa bestIsa();

/// bestIsa(), or what the environment variable FUSED_LORA_CPU_ISA names ('portable', 'avx2', 'avx512'): for tests and
/// measurements. Read once. Throws INVALID_ARGUMENT for an unknown name or one that this CPU lacks.
Isa selectedIsa();

}  // namespace fl
