// AVX2 with FMA: a 6 x 16 tile, 12 of the 16 registers hold sums.
#include "cpu/gemm/kernels.h"

#if defined(__x86_64__)

namespace fl::cpu {
namespace {
constexpr TileShape kTile = {"avx2", 6, 2};
}  // namespace
}  // namespace fl::cpu

#include "cpu/gemm/f32.inc"

namespace fl::cpu {
const Kernels* kernelsF32Avx2() { return &kTable; }
}  // namespace fl::cpu

#else

namespace fl::cpu {
const Kernels* kernelsF32Avx2() { return nullptr; }
}  // namespace fl::cpu

#endif
