// Asks the processor which instruction sets it has, and the environment which of them to use.
// What is chosen by the answer: cpu/dispatch.cc.
#include "cpu/simd/isa.h"

#include <cstdlib>
#include <string>

#include "runtime/error.h"

namespace fl {
namespace {

Isa select() {
  const char* forced = std::getenv("FUSED_LORA_CPU_ISA");
  const Isa best = bestIsa();
  if (forced == nullptr || *forced == '\0') return best;
  for (const Isa isa : kAllIsas) {
    if (nameOf(isa) != forced) continue;
    if (isa > best)
      fail("INVALID_ARGUMENT", "FUSED_LORA_CPU_ISA is '" + std::string(forced) +
                                   "', which this CPU lacks; the best it has is '" + std::string(nameOf(best)) + "'");
    return isa;
  }
  fail("INVALID_ARGUMENT", "FUSED_LORA_CPU_ISA is '" + std::string(forced) +
                               "'; use portable, avx2, avx512 or avx512bf16, or leave it unset");
}

}  // namespace

std::string_view nameOf(Isa isa) {
  switch (isa) {
    case Isa::avx512bf16:
      return "avx512bf16";
    case Isa::avx512:
      return "avx512";
    case Isa::avx2:
      return "avx2";
    case Isa::portable:
      break;
  }
  return "portable";
}

Isa bestIsa() {
#if defined(__x86_64__)
#if !defined(FUSED_LORA_NO_AVX512)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq"))
    return __builtin_cpu_supports("avx512bf16") ? Isa::avx512bf16 : Isa::avx512;
#endif
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::avx2;
#endif
  return Isa::portable;
}

Isa selectedIsa() {
  static const Isa isa = select();
  return isa;
}

}  // namespace fl
