#include "cpu/gemm/select.h"

#include <atomic>
#include <string>

#include "runtime/error.h"

namespace fl::cpu {
namespace {

const KernelsF32& builtFor(Isa isa) {
  const KernelsF32* kernels = isa == Isa::avx512 ? kernelsF32Avx512()
                              : isa == Isa::avx2 ? kernelsF32Avx2()
                                                 : kernelsF32Portable();
  if (kernels == nullptr || isa > bestIsa())
    fail("DEVICE_UNAVAILABLE", "this CPU does not have " + std::string(nameOf(isa)));
  return *kernels;
}

std::atomic<const KernelsF32*> current{nullptr};

}  // namespace

const KernelsF32& kernelsF32() {
  const KernelsF32* kernels = current.load(std::memory_order_acquire);
  if (kernels == nullptr) current.store(kernels = &builtFor(selectedIsa()), std::memory_order_release);
  return *kernels;
}

void useIsaForProducts(Isa isa) { current.store(&builtFor(isa), std::memory_order_release); }

}  // namespace fl::cpu
