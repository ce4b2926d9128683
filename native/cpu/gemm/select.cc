#include "cpu/gemm/select.h"

#include <atomic>
#include <string>

#include "runtime/error.h"

namespace fl::cpu {
namespace {

/// All but bf16 products are the same on avx512bf16 as on avx512.
const Kernels* builtFor(Isa isa, Precision precision) {
  const bool bf16 = precision == Precision::bf16;
  switch (isa) {
    case Isa::avx512bf16:
      return bf16 ? kernelsBf16Avx512Bf16() : kernelsF32Avx512();
    case Isa::avx512:
      return bf16 ? kernelsBf16Avx512() : kernelsF32Avx512();
    case Isa::avx2:
      return bf16 ? kernelsBf16Avx2() : kernelsF32Avx2();
    case Isa::portable:
      break;
  }
  return bf16 ? kernelsBf16Portable() : kernelsF32Portable();
}

std::atomic<int> current{-1};

}  // namespace

const Kernels& kernelsFor(Precision precision) {
  int isa = current.load(std::memory_order_relaxed);
  if (isa < 0) current.store(isa = static_cast<int>(selectedIsa()), std::memory_order_relaxed);
  return *builtFor(static_cast<Isa>(isa), precision);
}

void useIsaForProducts(Isa isa) {
  if (isa > bestIsa()) fail("DEVICE_UNAVAILABLE", "this CPU does not have " + std::string(nameOf(isa)));
  current.store(static_cast<int>(isa), std::memory_order_relaxed);
}

}  // namespace fl::cpu
