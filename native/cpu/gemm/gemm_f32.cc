// Products of precision fp32, compiled once for each instruction set (cmake/CpuVariants.cmake): a
// step of k is one float of either operand. The loops are in multiply.inc, tile.inc, dots.inc and
// weight_gradient.inc; bf16: gemm_bf16.cc.
#include "cpu/gemm/kernels.h"
#include "cpu/simd/words.inc"

namespace fl::cpu {
namespace {

constexpr int kDepth = 1, kLeftWords = 1;

inline F multiplyAdd(F a, F b, F sum) { return fma(a, b, sum); }

template <int MR, int NV>
[[gnu::always_inline]] inline void addRows(F (&acc)[MR][NV], const Word* a, int64_t, const F (&row)[NV],
                                           const F (&)[NV]) {
#pragma GCC unroll 16
  for (int i = 0; i < MR; i++) {
    const F x = splatWord(a + i);
#pragma GCC unroll 4
    for (int j = 0; j < NV; j++) acc[i][j] = fma(x, row[j], acc[i][j]);
  }
}

}  // namespace
}  // namespace fl::cpu

#include "cpu/gemm/dots.inc"
#include "cpu/gemm/multiply.inc"
#include "cpu/gemm/tile.inc"
#include "cpu/gemm/weight_gradient.inc"

namespace fl::cpu {
namespace {

void copyColumns(const float* x, int64_t ldx, int64_t columns, int64_t k, Word* out, int64_t outStride) {
  auto* to = reinterpret_cast<float*>(out);
  for (int64_t t = 0; t < k; t++, x += ldx, to += outStride)
    forVectors(columns, [&](int64_t i, int n) { storeUpTo(to + i, loadUpTo(x + i, n), n); });
}

void leftPanelColumns(const float* x, int64_t ldx, int64_t rows, int64_t k, Word* out) {
  copyColumns(x, ldx, rows, k, out, rows);
}

}  // namespace

namespace FL_ISA {

const Kernels kGemmF32 = {
    .mr = kTileRows,
    .nr = kTileColumns,
    .depth = kDepth,
    .leftWords = kLeftWords,
    .unit = 1,
    .tileRank = kTileRank,
    .tile = runTile,
    .leftRows = nullptr,
    .rightRows = nullptr,
    .transpose = transposeWords,
    .leftPanelRows = nullptr,
    .leftPanelColumns = leftPanelColumns,
    .rightColumns = copyColumns,
    .dots = dotProducts,
    .weightGradient = weightGradient,
    .gradientLeft = copyColumns,
    .weightGradientUnit = kWeightGradientUnit,
    .gradientRows = kDepth,
    .jobsOfRows = false,
    .gradientBytes = kGradientBytes,
};

}  // namespace FL_ISA
}  // namespace fl::cpu
