// Asks the processor which instruction sets it has, and the environment which of them to use.
// What is chosen by the answer: cpu/dispatch.cc; CPUID: platform/processor.h.
#include "cpu/simd/isa.h"

#include <cstdlib>
#include <string>

#include "platform/processor.h"
#include "runtime/error.h"

namespace fl {
namespace {

Isa select() {
  const char* forced = std::getenv("FUSED_LORA_CPU_ISA");
  if (forced == nullptr || *forced == '\0') return bestIsa();
  for (const Isa isa : kAllIsas) {
    if (nameOf(isa) != forced) continue;
    if (!canRun(isa))
      fail("INVALID_ARGUMENT", "FUSED_LORA_CPU_ISA is '" + std::string(forced) +
                                   "', which this CPU lacks or the system does not allow here; the best is '" +
                                   std::string(nameOf(bestIsa())) + "'");
    return isa;
  }
  fail("INVALID_ARGUMENT",
       "FUSED_LORA_CPU_ISA is '" + std::string(forced) +
           "'; use portable, avx2, avxvnni, avx512, avx512vnni, avx512bf16 or amx, or leave it unset");
}

}  // namespace

std::string_view nameOf(Isa isa) {
  switch (isa) {
    case Isa::amx:
      return "amx";
    case Isa::avx512bf16:
      return "avx512bf16";
    case Isa::avx512vnni:
      return "avx512vnni";
    case Isa::avx512:
      return "avx512";
    case Isa::avxvnni:
      return "avxvnni";
    case Isa::avx2:
      return "avx2";
    case Isa::portable:
      break;
  }
  return "portable";
}

bool canRun(Isa isa) {
  const platform::ProcessorFeatures has = platform::processorFeatures();
  const bool avx2 = has.avx2 && has.fma;
#if defined(FUSED_LORA_NO_AVX512)
  const bool compiled = false;
#else
  const bool compiled = true;
#endif
  const bool avx512 = compiled && avx2 && has.avx512f && has.avx512bw && has.avx512vl && has.avx512dq;
  switch (isa) {
    case Isa::amx: {
      static const bool allowed = has.amxtile && has.amxbf16 && has.amxint8 && platform::allowTiles();
      return avx512 && has.avx512vnni && has.avx512bf16 && allowed;
    }
    case Isa::avx512bf16:
      return avx512 && has.avx512vnni && has.avx512bf16;
    case Isa::avx512vnni:
      return avx512 && has.avx512vnni;
    case Isa::avx512:
      return avx512;
    case Isa::avxvnni:
      return compiled && avx2 && has.avxvnni;
    case Isa::avx2:
      return avx2;
    case Isa::portable:
      break;
  }
  return true;
}

Isa bestIsa() {
  Isa best = Isa::portable;
  for (const Isa isa : kAllIsas)
    if (canRun(isa)) best = isa;
  return best;
}

Isa selectedIsa() {
  static const Isa isa = select();
  return isa;
}

}  // namespace fl
