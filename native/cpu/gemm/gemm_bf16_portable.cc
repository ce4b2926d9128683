// Every CPU: the fp32 tile on pairs expanded to floats.
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

#include "cpu/gemm/bf16.inc"

namespace fl::cpu {
const Kernels* kernelsBf16Portable() { return &kTable; }
}  // namespace fl::cpu
