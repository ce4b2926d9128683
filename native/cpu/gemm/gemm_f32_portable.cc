// Four-float compiler vectors, for every CPU: 16 registers on x86-64, 32 on ARM.
#include "cpu/gemm/kernels.h"

namespace fl::cpu {
namespace {
#if defined(__aarch64__)
constexpr TileShape kTile = {"portable", 6, 4, 24};
#else
constexpr TileShape kTile = {"portable", 4, 2, 8};
#endif
}  // namespace
}  // namespace fl::cpu

#include "cpu/gemm/microkernel.inc"

namespace fl::cpu {
const KernelsF32* kernelsF32Portable() { return &kTable; }
}  // namespace fl::cpu
