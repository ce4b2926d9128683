// AVX-512: a 14 x 32 tile, 28 of the 32 registers hold sums.
#include "cpu/gemm/kernels.h"

#if defined(__x86_64__)

namespace fl::cpu {
namespace {
constexpr TileShape kTile = {"avx512", 14, 2};
}  // namespace
}  // namespace fl::cpu

#include "cpu/gemm/f32.inc"

namespace fl::cpu {
const Kernels* kernelsF32Avx512() { return &kTable; }
}  // namespace fl::cpu

#else

namespace fl::cpu {
const Kernels* kernelsF32Avx512() { return nullptr; }
}  // namespace fl::cpu

#endif
