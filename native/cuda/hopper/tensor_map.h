// Tensor maps: how the copy engine is told where a matrix lies and what a box of it is. Boxes
// are written with the 128-byte swizzle (swizzle.h). CUDA driver API, cuTensorMapEncodeTiled, which
// is asked of the driver at run time: the addon loads where there is none.
#pragma once

#include <cstdint>

namespace fl::cuda::hopper {

/// What the driver made of a MatrixBoxes, passed to kernels by value.
struct alignas(128) TensorMap {
  uint64_t words[16];
};

enum class Element : uint8_t { bf16, f32 };
constexpr int bytesOf(Element element) { return element == Element::bf16 ? 2 : 4; }

/// A matrix [rows, cols], rows next to each other, and the box that one copy takes.
struct MatrixBoxes {
  const void* data;
  int64_t rows, cols;
  int boxRows, boxCols;
  Element element;
};

/// What keeps the copy engine from it, in words; null: nothing.
constexpr const char* faultOf(const MatrixBoxes& m) {
  if (m.rows < 1 || m.cols < 1) return "it has no elements";
  if (m.rows > int64_t{1} << 31 || m.cols > int64_t{1} << 31) return "it has more than 2^31 rows or columns";
  if (m.cols * bytesOf(m.element) % 16 != 0) return "its rows do not begin on 16 bytes";
  if (m.boxRows < 1 || m.boxRows > 256) return "a box has more than 256 rows";
  if (m.boxCols < 1 || m.boxCols * bytesOf(m.element) > 128)
    return "a row of a box is longer than the swizzle's 128 bytes";
  return nullptr;
}

/// @param what named in errors: INVALID_SHAPE where faultOf finds something or the data is not on
///   16 bytes, DEVICE_UNAVAILABLE where the driver has no tensor maps.
TensorMap encode(const char* what, const MatrixBoxes& matrix);

}  // namespace fl::cuda::hopper
