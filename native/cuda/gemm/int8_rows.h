// Rows of floats as int8 codes with a scale each, made on the device: the formulas are those of
// ops/base_weights.h, the product that reads them is product_int8.cu, frozen weights are kept in
// this form by held_weights.h.
#pragma once

#include <cstdint>

#include "cuda/gemm/selection.h"

namespace fl::cuda {

/// Codes of a row take whole chunks of 16 bytes, what one copy to shared memory brings; those
/// behind the row are 0.
constexpr int64_t paddedCodes(int64_t cols) { return ceilDivide(cols, 16) * 16; }

/// codes [rows, paddedCodes(cols)] and scales [rows] of x [rows, cols].
struct Int8Rows {
  int64_t rows = 0, cols = 0;
  const float* x = nullptr;
  /// What x is multiplied by first, column by column [cols]; null: nothing.
  const float* factors = nullptr;
  int8_t* codes = nullptr;
  float* scales = nullptr;
};

/// Floats of memory that the codes take, and then the scales.
constexpr int64_t codeFloats(int64_t rows, int64_t cols) { return rows * (paddedCodes(cols) / 4); }

void quantise(const char* op, const Int8Rows& rows);

/// The same codes down the columns: [cols, paddedCodes(rows)] of codes [rows, paddedCodes(cols)].
void transposeCodes(const char* op, const int8_t* codes, int64_t rows, int64_t cols, int8_t* to);

}  // namespace fl::cuda
