// Products of int8 codes, compiled once for each instruction set (cmake/CpuVariants.cmake), in the
// forms of int8_kernels.h: signed with AMX; unsigned where there is VNNI, and on the portable path,
// which does the same with what it has; paired on AVX2 and AVX-512 without VNNI. fp32: gemm_f32.cc.
#include "cpu/gemm/int8_kernels.h"
#if defined(__AMX_INT8__)
#include "cpu/gemm/amx_int8_tile.inc"
#else
#include "cpu/gemm/int8_tile.inc"
#endif

namespace fl::cpu {
namespace {

inline F valuesOf(const float* x, const float* factors, int64_t i, int n) {
  const F v = loadUpTo(x + i, n);
  return factors == nullptr ? v : v * loadUpTo(factors + i, n);
}

// The nearest integer, ties to even, of values up to 2^22: the sum with 1.5 * 2^23 has no place for
// a fraction.
inline I nearest(F v) { return reinterpret_cast<I>(v + splat(0x1.8p23f)) - splatInt(0x4B400000); }

typedef Code Codes __attribute__((vector_size(W * sizeof(Code))));

// runtime/int8.h, a vector at a time. place(i): where W codes from element i on go.
template <class Place>
[[gnu::always_inline]] inline float quantiseRow(const float* x, int64_t k, const float* factors, Place place) {
  I most{};
  forVectors(k, [&](int64_t i, int n) {
    const I bits = reinterpret_cast<I>(valuesOf(x, factors, i, n)) & splatInt(0x7FFFFFFF);
    most = bits > most ? bits : most;
  });
  int32_t bits = 0;
  for (int l = 0; l < W; l++) bits = most[l] > bits ? most[l] : bits;
  float largest;
  __builtin_memcpy(&largest, &bits, sizeof largest);
  const bool finite = bits < 0x7F800000, any = finite && largest >= 0x1p-120f;
  const F inverse = splat(any ? 127.0f / largest : 0.0f);
  forVectors(k, [&](int64_t i, int n) {
    const I codes = any ? nearest(valuesOf(x, factors, i, n) * inverse) : I{};
    const Codes narrow = __builtin_convertvector(kUnsigned ? codes + 128 : codes, Codes);
    __builtin_memcpy(place(i), &narrow, sizeof narrow);
  });
  return any ? largest / 127.0f : finite ? 0.0f : __builtin_nanf("");
}

#if defined(__AMX_INT8__)

// Into the panel itself: 16 words of a row are 64 codes. What lies behind the last code is
// multiplied by the zeros of the weight's panel.
void quantisePanel(const float* x, int64_t ldx, int64_t rows, int64_t k, const float* factors, Word*, Word* out,
                   float* scales) {
  constexpr int64_t codes = kTileWords * sizeof(Word);
  for (int64_t row = 0; row < rows; row++) {
    Code* to = reinterpret_cast<Code*>(out) + row * codes;
    scales[row] =
        quantiseRow(x + row * ldx, k, factors, [=](int64_t i) { return to + i / codes * rows * codes + i % codes; });
  }
}

#else

void quantisePanel(const float* x, int64_t ldx, int64_t rows, int64_t k, const float* factors, Word* memory, Word* out,
                   float* scales) {
  const int64_t words = (k + kInt8Depth - 1) / kInt8Depth * kLeftWords, ld = words + kQuantiseSlack;
  for (int64_t row = 0; row < rows; row++) {
    Code* to = reinterpret_cast<Code*>(memory + row * ld);
    scales[row] = quantiseRow(x + row * ldx, k, factors, [=](int64_t i) { return to + i; });
  }
  transposeWords(memory, ld, rows, words, out, rows);
}

#endif

}  // namespace

namespace FL_ISA {

const Int8Kernels kGemmInt8 = {
    .mr = kTileRows,
    .nr = kTileColumns,
    .leftWords = kLeftWords,
    .unit = kUnit,
    .order = {kOrder[0], kOrder[1], kOrder[2], kOrder[3]},
    .jobsOfRows = kJobsOfRows,
    .tile = runTile,
    .quantisePanel = quantisePanel,
};

}  // namespace FL_ISA
}  // namespace fl::cpu
