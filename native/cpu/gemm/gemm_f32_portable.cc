// Four-float compiler vectors, for every CPU: 16 registers on x86-64, 32 on ARM.
#include "cpu/gemm/kernels.h"

namespace fl::cpu {
namespace {
#if defined(__aarch64__)
constexpr TileShape kTile = {"portable", 6, 4};
#else
constexpr TileShape kTile = {"portable", 4, 2};
#endif
}  // namespace
}  // namespace fl::cpu

#include "cpu/gemm/f32.inc"

namespace fl::cpu {
const Kernels* kernelsF32Portable() { return &kTable; }
}  // namespace fl::cpu
