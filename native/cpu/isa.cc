#include "cpu/isa.h"

#include <cstdlib>
#include <string>

#include "runtime/error.h"

namespace fl {
namespace {

constexpr Isa kAll[] = {Isa::portable, Isa::avx2, Isa::avx512};

Isa select() {
  const char* forced = std::getenv("FUSED_LORA_CPU_ISA");
  const Isa best = bestIsa();
  if (forced == nullptr || *forced == '\0') return best;
  for (const Isa isa : kAll) {
    if (nameOf(isa) != forced) continue;
    if (isa > best)
      fail("INVALID_ARGUMENT", "FUSED_LORA_CPU_ISA is '" + std::string(forced) +
                                   "', which this CPU lacks; the best it has is '" + std::string(nameOf(best)) + "'");
    return isa;
  }
  fail("INVALID_ARGUMENT",
       "FUSED_LORA_CPU_ISA is '" + std::string(forced) + "'; use portable, avx2 or avx512, or leave it unset");
}

}  // namespace

std::string_view nameOf(Isa isa) { return isa == Isa::avx512 ? "avx512" : isa == Isa::avx2 ? "avx2" : "portable"; }

Isa bestIsa() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq"))
    return Isa::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::avx2;
#endif
  return Isa::portable;
}

Isa selectedIsa() {
  static const Isa isa = select();
  return isa;
}

}  // namespace fl
