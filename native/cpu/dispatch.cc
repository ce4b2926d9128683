// The tables of the compiled copies, by instruction set. The copies themselves: cpu/simd/isa.h says
// what each set holds, cmake/CpuVariants.cmake compiles them.
#include "cpu/dispatch.h"

namespace fl::cpu {

const AttentionKernels& attentionKernels([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
#if !defined(FUSED_LORA_NO_AVX512)
  if (isa >= Isa::avx512) return avx512::kAttentionKernels;
#endif
  if (isa >= Isa::avx2) return avx2::kAttentionKernels;
#endif
  return portable::kAttentionKernels;
}

const Kernels& kernelsFor(Precision precision, [[maybe_unused]] Isa isa) {
  if (precision == Precision::bf16) {
#if defined(__x86_64__)
#if !defined(FUSED_LORA_NO_AVX512)
    if (isa >= Isa::amx) return amx::kGemmBf16;
    if (isa >= Isa::avx512bf16) return avx512bf16::kGemmBf16;
    if (isa >= Isa::avx512) return avx512::kGemmBf16;
#endif
    if (isa >= Isa::avx2) return avx2::kGemmBf16;
#endif
    return portable::kGemmBf16;
  }
#if defined(__x86_64__)
#if !defined(FUSED_LORA_NO_AVX512)
  if (isa >= Isa::avx512) return avx512::kGemmF32;
#endif
  if (isa >= Isa::avx2) return avx2::kGemmF32;
#endif
  return portable::kGemmF32;
}

const Int8Kernels& int8Kernels([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
#if !defined(FUSED_LORA_NO_AVX512)
  if (isa >= Isa::amx) return amx::kGemmInt8;
  if (isa >= Isa::avx512vnni) return avx512vnni::kGemmInt8;
  if (isa >= Isa::avx512) return avx512::kGemmInt8;
  if (isa >= Isa::avxvnni) return avxvnni::kGemmInt8;
#endif
  if (isa >= Isa::avx2) return avx2::kGemmInt8;
#endif
  return portable::kGemmInt8;
}

const RowKernels& rowKernels([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
#if !defined(FUSED_LORA_NO_AVX512)
  if (isa >= Isa::avx512) return avx512::kRowKernels;
#endif
  if (isa >= Isa::avx2) return avx2::kRowKernels;
#endif
  return portable::kRowKernels;
}

}  // namespace fl::cpu
