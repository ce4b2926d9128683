#include "cpu/rows/row_kernels.h"

#include "cpu/simd/isa.h"

namespace fl::cpu {

const RowKernels& rowKernels() {
#if defined(__x86_64__)
  switch (selectedIsa()) {
    case Isa::avx512bf16:
    case Isa::avx512:
      return kRowKernelsAvx512;
    case Isa::avx2:
      return kRowKernelsAvx2;
    case Isa::portable:
      break;
  }
#endif
  return kRowKernelsPortable;
}

}  // namespace fl::cpu
