// The inner loops of the CPU products, one table of functions for each instruction set and
// precision. Plain C types only: the files that fill the tables are compiled for instruction sets
// that the rest of the program may not use, so they must not instantiate anything that the linker
// could share with it. They are gemm_f32.cc and gemm_bf16.cc; cpu/dispatch.h chooses.
//
// A product runs over k in steps, `depth` elements of k each (the last filled up with zeros):
//                                  depth  a step of a right panel  a step of a left panel
//   fp32                           1      a float                  a float
//   bf16, with its instructions    2      a pair of bf16           a pair of bf16
//   bf16, expanded in the tile     2      a pair of bf16           two floats that are bf16 values
// The steps of a product are a multiple of `unit`, the last ones zeros: 16 with AMX, else 1.
// A pair is one word of 32 bits, the first element in the low half. Layouts, in words, both step by
// step, so that a step reads short contiguous runs:
//   left panel:  `rows` (1..mr) rows, leftWords words a step; word w of row i is at
//                a[w * rows + i]; with AMX, whose tiles are rows of 16 words, at
//                a[(w / 16 * rows + i) * 16 + w % 16]
//   right panel: nr columns; step s of column j is at b[s * nr + j]; missing columns of the
//                last panel are zero
// Every element of a result is one chain of multiply-adds in the order of k (with AMX: of sums over
// `unit` steps, counted from the first), whatever its place in a tile: the same bits for every way
// to cut a matrix into tiles, and for fused and separate LoRA.
#pragma once

#include <cstdint>

#include "cpu/simd/activation.h"

namespace fl::cpu {

using Word = uint32_t;

/// One tile: C = f(A0 B0 + A1 B1 + bias) + residual, or f'(slopeAt) (A0 B0 + A1 B1) + residual,
/// where A1 (the steps of the adapter) continues A0 in memory.
struct Tile {
  /// Every step prefetches, so there is no tile without memory to prefetch: at address 0 each of
  /// them would walk the page tables (measured on Zen 1: rank 64 at 2.4 times the bare product).
  Tile(const Word* memory, int64_t bytesAStep)
      : prefetch(reinterpret_cast<const char*>(memory)), prefetchStep(bytesAStep) {}

  const Word* a = nullptr;
  const Word* b0 = nullptr;
  const Word* b1 = nullptr;
  int64_t steps0 = 0, steps1 = 0;
  float* c = nullptr;
  int64_t ldc = 0;
  int rows = 0;
  /// Columns that exist; fewer than nr in the last panel.
  int columns = 0;
  /// Sums begin with these values instead of zero: with C's own (a sum over k in several blocks, or
  /// a gradient that is added to), or with those of int8 codes (int8_kernels.h).
  const float* start = nullptr;
  int64_t ldStart = 0;
  /// More blocks of k follow: C gets the bare sum.
  bool partial = false;
  const float* bias = nullptr;
  const float* residual = nullptr;
  int64_t ldResidual = 0;
  /// Gets A B + bias where present.
  float* preActivation = nullptr;
  int64_t ldPreActivation = 0;
  /// Where present the tile is a gradient, and f' is taken at these values.
  const float* slopeAt = nullptr;
  int64_t ldSlopeAt = 0;
  KernelActivation activation = KernelActivation::none;
  /// Memory that a later tile reads, brought to the L2 cache while this one runs, prefetchStep
  /// bytes a step.
  const char* prefetch;
  int64_t prefetchStep;
};

/// C [m, columns] += sum over t of left[t, i] b[t, j], in the order of t; `left` as gradientLeft
/// makes it, leftStride words (at least m, rounded up to weightGradientUnit) between its words of
/// one element of m.
struct WeightGradientBlock {
  const Word* left = nullptr;
  int64_t leftStride = 0;
  int m = 0;
  const float* b = nullptr;
  int64_t ldb = 0, rows = 0, columns = 0;
  float* c = nullptr;
  int64_t ldc = 0;
};

struct Kernels {
  int mr, nr;
  int depth, leftWords, unit;
  /// From this rank on, u and v of LoRA are made by tiles, below it by dot products (low_rank.h).
  int tileRank;
  void (*tile)(const Tile& tile);
  /// Rows of a left operand in words, k / depth * leftWords of them a row (rounded up). Null in
  /// fp32: as they are.
  void (*leftRows)(const float* x, int64_t ldx, int64_t rows, int64_t k, Word* out, int64_t ldOut);
  /// Rows of a right operand in words, one a step. Null in fp32.
  void (*rightRows)(const float* x, int64_t ldx, int64_t rows, int64_t k, Word* out, int64_t ldOut);
  /// out[w * outStride + i] = x[i * ldx + w] for `rows` rows of `words` words.
  void (*transpose)(const Word* x, int64_t ldx, int64_t rows, int64_t words, Word* out, int64_t outStride);
  /// A left panel from rows. Null: `transpose` makes it, from leftRows.
  void (*leftPanelRows)(const float* x, int64_t ldx, int64_t rows, int64_t k, Word* out);
  /// The same, or part of one that begins at a multiple of 16 words, from an operand of k rows that
  /// holds the panel's rows side by side.
  void (*leftPanelColumns)(const float* x, int64_t ldx, int64_t rows, int64_t k, Word* out);
  /// Panels from operands of k rows that hold the columns side by side: column i of step s at out[s
  /// * outStride + i].
  void (*rightColumns)(const float* x, int64_t ldx, int64_t columns, int64_t k, Word* out, int64_t outStride);
  /// u[i, j] = or += the product of row i of x [m] and row j of a [n], both rows of a left operand,
  /// `words` long.
  void (*dots)(const Word* x, int64_t ldx, int64_t m, const Word* a, int64_t lda, int64_t n, int64_t words,
               bool accumulate, float* u, int64_t ldu);
  void (*weightGradient)(const WeightGradientBlock& block);
  /// Its left operand from x [k, m]: step by step, the leftWords rows of a step outStride words
  /// apart. With AMX in left panels of mr rows of C.
  void (*gradientLeft)(const float* x, int64_t ldx, int64_t m, int64_t k, Word* out, int64_t outStride);
  /// Left values of it are filled up with zeros to a multiple of this many a step.
  int weightGradientUnit;
  /// Rows of the batch that it sums together: sums in several parts are cut at multiples of them.
  int gradientRows;
  /// Rows are packed by the thread that multiplies them, rather than by any (product.cc).
  bool jobsOfRows;
  /// Bytes of x and dy whose gradients are summed while they lie in the cache.
  int64_t gradientBytes;
};

// The compiled copies (cpu/dispatch.h).
namespace portable {
extern const Kernels kGemmF32, kGemmBf16;
}
namespace avx2 {
extern const Kernels kGemmF32, kGemmBf16;
}
namespace avx512 {
extern const Kernels kGemmF32, kGemmBf16;
}
namespace avx512bf16 {
extern const Kernels kGemmBf16;
}
namespace amx {
extern const Kernels kGemmBf16;
}

}  // namespace fl::cpu
