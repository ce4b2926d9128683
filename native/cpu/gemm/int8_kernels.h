// The inner loops of products of int8 codes, one table for each instruction set, beside those of
// kernels.h and under its rule: plain C types only. They are gemm_int8.cc; what codes mean is in
// ops/base_weights.h, and how weights get into panels in int8_panels.h.
//
// A step is four elements of k, and a word of a right panel their four codes. Left words are
//   unsigned form   four codes + 128 as unsigned bytes, one word a step (for vpdpbusd). The sum is
//                   too large by 128 times the sum of the column's codes, which the panel keeps
//   paired form     four codes as 16-bit integers, two words a step (for vpmaddwd)
//   signed form     four codes, one word a step (for tdpbssd, which multiplies signed bytes)
// Which byte of a right word holds element e of a step: `order`.
//
// Nothing saturates. tdpbssd adds four products of signed bytes in 32 bits, modulo 2^32. Paired:
// vpmaddwd adds two products of 16-bit integers in 32 bits; of codes up to 127 each is at most
// 16,129, and 131,072 of them (ops/base_weights.h) stay below 2^31. (Its 8-bit sibling vpmaddubsw,
// which saturates at 32,767, is not used.) Unsigned: vpdpbusd adds 32-bit values modulo 2^32
// (vpdpbusds is the one that saturates), so a sum that runs over comes back when 128 times the
// codes' sum is taken off, since the true one is below 2^31.
#pragma once

#include <cstdint>

#include "cpu/gemm/kernels.h"

namespace fl::cpu {

/// One tile: C [rows, columns] = float(A B) * (rowScales * columnScales) + bias.
struct Int8Tile {
  /// The left panel, as in kernels.h.
  const Word* a = nullptr;
  /// Of the right panel: the step's word of column j at b[s * nr + j].
  const Word* b = nullptr;
  int64_t steps = 0;
  int rows = 0, columns = 0;
  float* c = nullptr;
  int64_t ldc = 0;
  const float* rowScales = nullptr;
  /// nr of them; null: 1.
  const float* columnScales = nullptr;
  /// `columns` of them, or null.
  const float* bias = nullptr;
  /// nr of them: 128 times the sum of each column's codes.
  const int32_t* offsets = nullptr;
  /// The tile that these sums end in, at the same rows: its memory is brought to the cache while
  /// they are made. Null: none.
  const Tile* end = nullptr;
  /// As in Tile.
  const char* prefetch = nullptr;
  int64_t prefetchStep = 0;
};

struct Int8Kernels {
  int mr, nr;
  /// As in Kernels.
  int leftWords, unit;
  int order[4];
  /// As in Kernels.
  bool jobsOfRows;
  void (*tile)(const Int8Tile& tile);
  /// A left panel of rows of x as codes, and the scale of each; x is multiplied by `factors`,
  /// column by column, where they are given. `memory` has room for the words of the rows, each with
  /// kQuantiseSlack more.
  void (*quantisePanel)(const float* x, int64_t ldx, int64_t rows, int64_t k, const float* factors, Word* memory,
                        Word* out, float* scales);
};

/// Elements of k in a step.
constexpr int kInt8Depth = 4;
/// Between rows of codes on their way: the last vector of a row may end so many words behind it.
constexpr int64_t kQuantiseSlack = 16;

namespace portable {
extern const Int8Kernels kGemmInt8;
}
namespace avx2 {
extern const Int8Kernels kGemmInt8;
}
namespace avxvnni {
extern const Int8Kernels kGemmInt8;
}
namespace avx512 {
extern const Int8Kernels kGemmInt8;
}
namespace avx512vnni {
extern const Int8Kernels kGemmInt8;
}
namespace amx {
extern const Int8Kernels kGemmInt8;
}

}  // namespace fl::cpu
