// Products of precision bf16, compiled once for each instruction set (cmake/CpuVariants.cmake);
// fp32: gemm_f32.cc. With AVX512_BF16 pairs are multiplied as they are (vdpbf16ps, two steps of k
// each); elsewhere right panels hold pairs too (half the memory of fp32), which the tile expands to
// floats, and left panels hold floats. With AMX tiles of pairs are multiplied (amx_tile.inc).
#include "cpu/gemm/kernels.h"
#include "cpu/simd/words.inc"

namespace fl::cpu {
namespace {

inline U bitsOf(F v) { return reinterpret_cast<U>(v); }
inline F floatsOf(U v) { return reinterpret_cast<F>(v); }

// The nearest bf16 value, ties to even; NaN stays NaN (runtime/bf16.h). AVX512_BF16 has its own.
[[maybe_unused]] inline F rounded(F v) {
  const U bits = bitsOf(v);
  const U nearest = bits + splatBits(0x7FFF) + (bits >> 16 & splatBits(1));
  return floatsOf((v == v ? nearest : bits | splatBits(0x00400000)) & splatBits(0xFFFF0000));
}

#if defined(__AVX512BF16__)

constexpr int kDepth = 2, kLeftWords = 1;

inline F multiplyAdd(F a, F b, F sum) {
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
}

// The bf16 values of `first`, then of `second`.
inline F converted(F first, F second) { return reinterpret_cast<F>(_mm512_cvtne2ps_pbh(second, first)); }

// Words of W pairs of neighbours: (x[0], x[1]), (x[2], x[3]), ...
inline F pairsOf(F first, F second) { return converted(first, second); }

// Words (low[i], high[i]).
inline F pairsAcross(F low, F high) {
  const __m512i order =
      _mm512_add_epi32(_mm512_set1_epi32(0x00100000),
                       _mm512_mullo_epi32(reinterpret_cast<__m512i>(lanes()), _mm512_set1_epi32(0x00010001)));
  return reinterpret_cast<F>(_mm512_permutexvar_epi16(order, reinterpret_cast<__m512i>(converted(low, high))));
}

#else

constexpr int kDepth = 2, kLeftWords = 2;

inline F multiplyAdd(F a, F b, F sum) { return fma(a, b, sum); }

inline F pairsAcross(F low, F high) { return floatsOf((bitsOf(rounded(low)) >> 16) | bitsOf(rounded(high))); }

inline F pairsOf(F first, F second) {
  float from[2 * W];
  uint32_t to[W];
  store(from, rounded(first));
  store(from + W, rounded(second));
  for (int i = 0; i < W; i++) {
    uint32_t pair[2];
    __builtin_memcpy(pair, from + 2 * i, sizeof pair);
    to[i] = pair[0] >> 16 | pair[1];
  }
  return loadWords(to);
}

#endif

}  // namespace
}  // namespace fl::cpu

#include "cpu/gemm/dots.inc"
#if defined(__AVX512BF16__)
#include "cpu/gemm/multiply.inc"
#else
#include "cpu/gemm/multiply_expanded.inc"
#endif

namespace fl::cpu {
namespace {

template <int MR, int NV>
[[gnu::always_inline]] inline void addRows(F (&acc)[MR][NV], const Word* a, [[maybe_unused]] int64_t aStride,
                                           const F (&low)[NV], const F (&high)[NV]) {
  F right[NV];
#if defined(__AVX512BF16__)
#pragma GCC unroll 4
  for (int j = 0; j < NV; j++) right[j] = pairsAcross(low[j], high[j]);
#pragma GCC unroll 16
  for (int i = 0; i < MR; i++) {
    const F x = splatWord(a + i);
#pragma GCC unroll 4
    for (int j = 0; j < NV; j++) acc[i][j] = multiplyAdd(x, right[j], acc[i][j]);
  }
#else
#pragma GCC unroll 4
  for (int j = 0; j < NV; j++) right[j] = rounded(low[j]);
  multiplyFloats<MR, NV>(acc, a, right);
#pragma GCC unroll 4
  for (int j = 0; j < NV; j++) right[j] = rounded(high[j]);
  multiplyFloats<MR, NV>(acc, a + aStride, right);
#endif
}

}  // namespace
}  // namespace fl::cpu

#if defined(__AMX_BF16__)
#include "cpu/gemm/amx_tile.inc"
#else
#include "cpu/gemm/tile.inc"
#endif

namespace fl::cpu {
namespace {

inline F firstPart(const float* x, int n) { return n <= 0 ? splat(0.0f) : loadUpTo(x, n < W ? n : W); }

void pairRows(const float* x, int64_t ldx, int64_t rows, int64_t k, Word* out, int64_t ldOut) {
  const int64_t words = (k + 1) / 2;
  for (int64_t i = 0; i < rows; i++, x += ldx, out += ldOut)
    forVectors(words, [&](int64_t t, int n) {
      const float* from = x + 2 * t;
      const int left = n == W && 2 * (t + W) <= k ? 2 * W : static_cast<int>(k - 2 * t);
      const F pairs = left >= 2 * W ? pairsOf(load(from), load(from + W))
                                    : pairsOf(firstPart(from, left), firstPart(from + W, left - W));
      storeUpTo(reinterpret_cast<float*>(out + t), pairs, n);
    });
}

void pairColumns(const float* x, int64_t ldx, int64_t columns, int64_t k, Word* out, int64_t outStride) {
  for (int64_t t = 0; t < k; t += 2, x += 2 * ldx, out += outStride) {
    const bool both = t + 1 < k;
    forVectors(columns, [&](int64_t i, int n) {
      const F low = loadUpTo(x + i, n), high = both ? loadUpTo(x + ldx + i, n) : splat(0.0f);
      storeUpTo(reinterpret_cast<float*>(out + i), pairsAcross(low, high), n);
    });
  }
}

#if !defined(__AVX512BF16__)

void roundRow(const float* x, int64_t n, float* out) {
  forVectors(n, [&](int64_t i, int count) { storeUpTo(out + i, rounded(loadUpTo(x + i, count)), count); });
}

void roundRows(const float* x, int64_t ldx, int64_t rows, int64_t k, Word* out, int64_t ldOut) {
  for (int64_t i = 0; i < rows; i++) {
    auto* to = reinterpret_cast<float*>(out + i * ldOut);
    roundRow(x + i * ldx, k, to);
    if (k % 2 != 0) to[k] = 0;
  }
}

void roundColumns(const float* x, int64_t ldx, int64_t columns, int64_t k, Word* out, int64_t outStride) {
  auto* to = reinterpret_cast<float*>(out);
  for (int64_t t = 0; t < k; t++) roundRow(x + t * ldx, columns, to + t * outStride);
  if (k % 2 != 0)
    for (int64_t i = 0; i < columns; i++) to[k * outStride + i] = 0;
}

#endif

#if !defined(__AMX_BF16__)

constexpr int kGradientRows = kDepth;
constexpr bool kJobsOfRows = false;

void gradientLeft(const float* x, int64_t ldx, int64_t m, int64_t k, Word* out, int64_t outStride) {
#if defined(__AVX512BF16__)
  pairColumns(x, ldx, m, k, out, outStride);
#else
  roundColumns(x, ldx, m, k, out, outStride);
#endif
}

void leftPanelColumns(const float* x, int64_t ldx, int64_t rows, int64_t k, Word* out) {
  gradientLeft(x, ldx, rows, k, out, rows);
}

#endif

}  // namespace
}  // namespace fl::cpu

#if defined(__AMX_BF16__)
#include "cpu/gemm/amx_operands.inc"
#include "cpu/gemm/amx_weight_gradient.inc"
#else
#include "cpu/gemm/weight_gradient.inc"
#endif

namespace fl::cpu {
namespace FL_ISA {

const Kernels kGemmBf16 = {
    .mr = kTileRows,
    .nr = kTileColumns,
    .depth = kDepth,
    .leftWords = kLeftWords,
#if defined(__AMX_BF16__)
    .unit = kTileWords,
    .tileRank = 1,  // no dot products, which would want panels of single words
#else
    .unit = 1,
    .tileRank = kTileRank,
#endif
    .tile = runTile,
#if defined(__AVX512BF16__)
    .leftRows = pairRows,
#else
    .leftRows = roundRows,
#endif
    .rightRows = pairRows,
    .transpose = transposeWords,
#if defined(__AMX_BF16__)
    .leftPanelRows = leftPanelRows,
#else
    .leftPanelRows = nullptr,
#endif
    .leftPanelColumns = leftPanelColumns,
    .rightColumns = pairColumns,
    .dots = dotProducts,
    .weightGradient = weightGradient,
    .gradientLeft = gradientLeft,
    .weightGradientUnit = kWeightGradientUnit,
    .gradientRows = kGradientRows,
    .jobsOfRows = kJobsOfRows,
    .gradientBytes = kGradientBytes,
};

}  // namespace FL_ISA
}  // namespace fl::cpu
