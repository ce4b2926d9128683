// AVX2: the fp32 tile (6 x 16) on pairs expanded to floats.
#include "cpu/gemm/kernels.h"

#if defined(__x86_64__)

namespace fl::cpu {
namespace {
constexpr TileShape kTile = {"avx2", 6, 2};
}  // namespace
}  // namespace fl::cpu

#include "cpu/gemm/bf16.inc"

namespace fl::cpu {
const Kernels* kernelsBf16Avx2() { return &kTable; }
}  // namespace fl::cpu

#else

namespace fl::cpu {
const Kernels* kernelsBf16Avx2() { return nullptr; }
}  // namespace fl::cpu

#endif
