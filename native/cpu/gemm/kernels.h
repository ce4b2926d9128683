// The inner loops of the CPU products, one table of functions for each instruction set. Plain C types only: the files
// that fill the tables are compiled for instruction sets that the rest of the program may not use, so they must not
// instantiate anything that the linker could share with it.
//
// Operand layouts (both k-major, so that a k-step reads two short contiguous runs):
//   A panel: `rows` (1..mr) rows, element (i, k) at a[k * aStride + i]
//   B panel: nr columns, element (k, j) at b[k * bStride + j]; missing columns of the last panel are zero
// Every element of a result is one chain of multiply-adds in the order of k, whatever its place in a tile: the same
// bits for every way to cut a matrix into tiles, and for fused and separate LoRA.
#pragma once

#include <cstdint>

namespace fl::cpu {

enum class TileActivation : uint8_t { none, gelu, geluTanh, relu, tanh };

/// One tile: C = f(A0 B0 + A1 B1 + bias) + residual, where A1 (the k-steps of the adapter) continues A0 in memory.
struct TileF32 {
  const float* a = nullptr;
  const float* b0 = nullptr;
  const float* b1 = nullptr;
  int64_t k0 = 0, k1 = 0;
  int64_t aStride = 0, bStride = 0;
  float* c = nullptr;
  int64_t ldc = 0;
  int rows = 0;
  /// Columns that exist; fewer than nr in the last panel.
  int columns = 0;
  /// Start from what C holds instead of zero (a sum over k in several blocks, or a gradient that is added to).
  bool accumulate = false;
  /// More blocks of k follow: C gets the bare sum.
  bool partial = false;
  const float* bias = nullptr;
  const float* residual = nullptr;
  int64_t ldResidual = 0;
  /// Gets A B + bias where present.
  float* preActivation = nullptr;
  int64_t ldPreActivation = 0;
  TileActivation activation = TileActivation::none;
  /// Memory that a later tile reads, brought to the L2 cache while this one runs, prefetchStep bytes a k-step.
  const char* prefetch = nullptr;
  int64_t prefetchStep = 0;
};

/// C[i, j] (+)= sum over rows t of a[t, i] b[t, j]: a tall product with few results (dA, dB), operands as they lie.
struct OuterF32 {
  const float* a = nullptr;
  int64_t lda = 0;
  const float* b = nullptr;
  int64_t ldb = 0;
  int64_t rows = 0;
  int64_t m = 0, n = 0;
  float* c = nullptr;
  int64_t ldc = 0;
};

/// The register tile of one instruction set: rows x vectors, and how many vector registers may hold sums elsewhere.
struct TileShape {
  const char* isa;
  int rows, vectors, accumulators;
};

struct KernelsF32 {
  const char* isa;
  int mr, nr;
  void (*tile)(const TileF32& tile);
  /// Transposes `rows` row-major rows of length k: out[t * outStride + i] = x[i * ldx + t].
  void (*packRows)(const float* x, int64_t ldx, int64_t rows, int64_t k, float* out, int64_t outStride);
  /// out[t * outStride + i] = x[t * ldx + i] for `columns` columns of k rows.
  void (*packColumns)(const float* x, int64_t ldx, int64_t columns, int64_t k, float* out, int64_t outStride);
  /// u[i, j] = scale * sum_k x[i, k] a[j, k] for row-major x [m, k] and a [n, k].
  void (*dots)(const float* x, int64_t ldx, int64_t m, const float* a, int64_t lda, int64_t n, int64_t k, float scale,
               float* u, int64_t ldu);
  /// c += a^T b, row after row.
  void (*outer)(const OuterF32& product);
};

/// Null where the file was compiled to nothing (another architecture).
const KernelsF32* kernelsF32Avx512();
const KernelsF32* kernelsF32Avx2();
const KernelsF32* kernelsF32Portable();

}  // namespace fl::cpu
