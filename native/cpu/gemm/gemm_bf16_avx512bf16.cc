// AVX512_BF16: a 14 x 32 tile of vdpbf16ps, two k-steps each.
#include "cpu/gemm/kernels.h"

#if defined(__x86_64__)

namespace fl::cpu {
namespace {
constexpr TileShape kTile = {"avx512bf16", 14, 2};
}  // namespace
}  // namespace fl::cpu

#include "cpu/gemm/bf16.inc"

namespace fl::cpu {
const Kernels* kernelsBf16Avx512Bf16() { return &kTable; }
}  // namespace fl::cpu

#else

namespace fl::cpu {
const Kernels* kernelsBf16Avx512Bf16() { return nullptr; }
}  // namespace fl::cpu

#endif
