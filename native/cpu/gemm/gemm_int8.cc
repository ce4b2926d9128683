// Products of int8 codes, compiled once for each instruction set (cmake/CpuVariants.cmake), in the
// two forms of int8_kernels.h: unsigned where there is VNNI, and on the portable path, which does
// the same with what it has; paired on AVX2 and AVX-512 without VNNI. fp32: gemm_f32.cc.
#include "cpu/gemm/int8_kernels.h"
#include "cpu/gemm/tile_shape.inc"

namespace fl::cpu {
namespace {

constexpr int kVectors = kTile.vectors;
constexpr int kTileColumns = kVectors * W;

typedef uint32_t WordsUnaligned __attribute__((vector_size(4 * W), aligned(4), may_alias));
typedef uint32_t WordAlias __attribute__((may_alias));
typedef int16_t Halves __attribute__((vector_size(4 * W)));
typedef uint16_t UHalves __attribute__((vector_size(4 * W)));

inline I loadInts(const void* p) { return reinterpret_cast<I>(U(*reinterpret_cast<const WordsUnaligned*>(p))); }
inline I splatWord(const Word* p) { return reinterpret_cast<I>(splatBits(*reinterpret_cast<const WordAlias*>(p))); }

// In each 16-bit half the signed byte of its lower or upper half.
[[maybe_unused]] inline I lowBytes(I v) {
  return reinterpret_cast<I>(reinterpret_cast<Halves>(reinterpret_cast<UHalves>(v) << 8) >> 8);
}
[[maybe_unused]] inline I highBytes(I v) { return reinterpret_cast<I>(reinterpret_cast<Halves>(v) >> 8); }

// Modulo 2^32, one after the other: the compiler may group integer sums in another way, and then
// those of both halves of a step wait in more registers than there are.
inline I added(I a, I b) {
  I sum = reinterpret_cast<I>(reinterpret_cast<U>(a) + reinterpret_cast<U>(b));
#if defined(__x86_64__)
  __asm__("" : "+v"(sum));
#endif
  return sum;
}

// sum + the products of the two 16-bit halves: vpmaddwd.
[[maybe_unused]] inline I addPairs(I sum, I a, I b) {
#if defined(__AVX512BW__)
  return added(sum, reinterpret_cast<I>(_mm512_madd_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b))));
#elif defined(__AVX2__)
  return added(sum, reinterpret_cast<I>(_mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b))));
#elif defined(__x86_64__)
  return added(sum, reinterpret_cast<I>(_mm_madd_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b))));
#else
  const auto low = [](I v) { return reinterpret_cast<I>(reinterpret_cast<U>(v) << 16) >> 16; };
  return added(added(sum, low(a) * low(b)), (a >> 16) * (b >> 16));
#endif
}

#if defined(__AVX2__) && !defined(__AVX512VNNI__) && !defined(__AVXVNNI__)

constexpr bool kUnsigned = false;
constexpr int kLeftWords = 2;

template <int MR>
[[gnu::always_inline]] inline void addRows(I (&acc)[MR][kVectors], const Word* a, const I (&row)[kVectors]) {
#pragma GCC unroll 16
  for (int i = 0; i < MR; i++) {
    const I x = splatWord(a + i);
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; j++) acc[i][j] = addPairs(acc[i][j], x, row[j]);
  }
}

// The low bytes of all words, then the high ones: all four vectors at once would not fit beside the
// sums.
template <int MR>
[[gnu::always_inline]] inline void addStep(I (&acc)[MR][kVectors], const Word* a, const Word* b) {
  I row[kVectors];
#pragma GCC unroll 16
  for (int j = 0; j < kVectors; j++) row[j] = lowBytes(loadInts(b + j * W));
  addRows<MR>(acc, a, row);
#pragma GCC unroll 16
  for (int j = 0; j < kVectors; j++) row[j] = highBytes(loadInts(b + j * W));
  addRows<MR>(acc, a + MR, row);
}

#else

constexpr bool kUnsigned = true;
constexpr int kLeftWords = 1;

// sum + the products of the four bytes, those of a unsigned: vpdpbusd.
inline I addBytes(I sum, I a, I b) {
#if defined(__AVX512VNNI__)
  return reinterpret_cast<I>(
      _mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVXVNNI__)
  return reinterpret_cast<I>(_mm256_dpbusd_avx_epi32(reinterpret_cast<__m256i>(sum), reinterpret_cast<__m256i>(a),
                                                     reinterpret_cast<__m256i>(b)));
#else
  const I low = a & splatInt(0x00FF00FF), high = reinterpret_cast<I>(reinterpret_cast<UHalves>(a) >> 8);
  return addPairs(addPairs(sum, low, lowBytes(b)), high, highBytes(b));
#endif
}

template <int MR>
[[gnu::always_inline]] inline void addStep(I (&acc)[MR][kVectors], const Word* a, const Word* b) {
  I row[kVectors];
#pragma GCC unroll 16
  for (int j = 0; j < kVectors; j++) row[j] = loadInts(b + j * W);
#pragma GCC unroll 16
  for (int i = 0; i < MR; i++) {
    const I x = splatWord(a + i);
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; j++) acc[i][j] = addBytes(acc[i][j], x, row[j]);
  }
}

#endif

template <int MR>
void tileOf(const Int8Tile& t) {
  I acc[MR][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < MR; i++)
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; j++) acc[i][j] = I{};
  const Word *a = t.a, *b = t.b;
  const char* ahead = t.prefetch;
  for (int64_t s = 0; s < t.steps; s++, a += kLeftWords * MR, b += kTileColumns) {
    __builtin_prefetch(ahead, 0, 2);
    ahead += t.prefetchStep;
    addStep<MR>(acc, a, b);
  }
#pragma GCC unroll 16
  for (int j = 0; j < kVectors; j++) {
    const int left = t.columns - j * W, columns = left < W ? left : W;
    if (left <= 0) return;
    const I offset = kUnsigned ? loadInts(t.offsets + j * W) : I{};
    const F bias = t.bias == nullptr ? splat(0.0f) : loadUpTo(t.bias + j * W, columns);
    const F scale = t.columnScales == nullptr ? splat(1.0f) : load(t.columnScales + j * W);
#pragma GCC unroll 16
    for (int i = 0; i < MR; i++) {
      const F sum =
          __builtin_convertvector(reinterpret_cast<I>(reinterpret_cast<U>(acc[i][j]) - reinterpret_cast<U>(offset)), F);
      const F y = sum * (splat(t.rowScales[i]) * scale);
      storeUpTo(t.c + i * t.ldc + j * W, t.bias != nullptr ? y + bias : y, columns);
    }
  }
}

template <int MR>
void runTileRows(const Int8Tile& t) {
  if (t.rows == MR) return tileOf<MR>(t);
  if constexpr (MR > 1) runTileRows<MR - 1>(t);
}

void runTile(const Int8Tile& t) { runTileRows<kTile.rows>(t); }

inline F valuesOf(const float* x, const float* factors, int64_t i, int n) {
  const F v = loadUpTo(x + i, n);
  return factors == nullptr ? v : v * loadUpTo(factors + i, n);
}

// The nearest integer, ties to even, of values up to 2^22: the sum with 1.5 * 2^23 has no place for
// a fraction.
inline I nearest(F v) { return reinterpret_cast<I>(v + splat(0x1.8p23f)) - splatInt(0x4B400000); }

#if defined(__AVX2__) && !defined(__AVX512VNNI__) && !defined(__AVXVNNI__)
typedef int16_t Code;
typedef int16_t Codes __attribute__((vector_size(2 * W)));
#else
typedef uint8_t Code;
typedef uint8_t Codes __attribute__((vector_size(W)));
#endif

// runtime/int8.h, a vector at a time.
float quantiseRow(const float* x, int64_t k, const float* factors, Code* out) {
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
    __builtin_memcpy(out + i, &narrow, sizeof narrow);
  });
  return any ? largest / 127.0f : finite ? 0.0f : __builtin_nanf("");
}

void quantiseRows(const float* x, int64_t ldx, int64_t rows, int64_t k, const float* factors, Word* out, int64_t ldOut,
                  float* scales) {
  for (int64_t i = 0; i < rows; i++)
    scales[i] = quantiseRow(x + i * ldx, k, factors, reinterpret_cast<Code*>(out + i * ldOut));
}

}  // namespace

namespace FL_ISA {

const Int8Kernels kGemmInt8 = {
    kTile.rows,
    kTileColumns,
    kLeftWords,
#if defined(__AVX2__) && !defined(__AVX512VNNI__) && !defined(__AVXVNNI__)
    // The left words are the pairs (0, 1) and (2, 3): those of the low and of the high bytes.
    {0, 2, 1, 3},
#else
    {0, 1, 2, 3},
#endif
    runTile,
    quantiseRows,
};

}  // namespace FL_ISA
}  // namespace fl::cpu
