// AVX-512 without bf16 instructions: the fp32 tile (14 x 32) on pairs expanded to floats.
#include "cpu/gemm/kernels.h"

#if defined(__x86_64__)

namespace fl::cpu {
namespace {
constexpr TileShape kTile = {"avx512", 14, 2};
}  // namespace
}  // namespace fl::cpu

#include "cpu/gemm/bf16.inc"

namespace fl::cpu {
const Kernels* kernelsBf16Avx512() { return &kTable; }
}  // namespace fl::cpu

#else

namespace fl::cpu {
const Kernels* kernelsBf16Avx512() { return nullptr; }
}  // namespace fl::cpu

#endif
