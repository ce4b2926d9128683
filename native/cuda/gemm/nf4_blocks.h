// Weights in NF4 (runtime/nf4.h) as they lie on the device. Made by nf4_blocks.cu with the bits
// that the host's formulas give, read by nf4_values.cuh.
#pragma once

#include <cstdint>

#include "cuda/gemm/selection.h"
#include "runtime/nf4.h"

namespace fl::cuda {

/// What codes and the codes of scales stand for. A kernel's parameter; its blocks read a copy in
/// shared memory.
struct Nf4Tables {
  static constexpr int kCodes = 16, kCount = kCodes + 256;
  float value[kCount];
  static Nf4Tables make();
};

/// W [N, K], its values one after the other in blocks of 64.
struct Nf4Blocks {
  const uint8_t* codes = nullptr;
  const uint8_t* scaleCodes = nullptr;
  /// Of blocks of 256 scales, then their mean.
  const float* nested = nullptr;
  const float* mean = nullptr;

  /// Pieces of `memory`, each from a multiple of four bytes on.
  static Nf4Blocks at(const void* memory, int64_t count) {
    Nf4Blocks b;
    b.nested = static_cast<const float*>(memory);
    b.mean = b.nested + nf4::nestedOf(count);
    b.codes = reinterpret_cast<const uint8_t*>(b.mean + 1);
    b.scaleCodes = b.codes + ceilDivide((count + 1) / 2, 4) * 4;
    return b;
  }
  /// Floats of memory that they take.
  static int64_t floats(int64_t count) {
    return nf4::nestedOf(count) + 1 + ceilDivide((count + 1) / 2, 4) + ceilDivide(nf4::blocksOf(count), 4);
  }
  /// Of memory that `quantise` needs besides.
  static int64_t scratchFloats(int64_t count) { return nf4::blocksOf(count); }
};

/// The blocks of `count` values, to `memory` of Nf4Blocks::floats; `scratch` of scratchFloats.
void quantise(const char* op, const float* values, int64_t count, void* memory, float* scratch);

}  // namespace fl::cuda
