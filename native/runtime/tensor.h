// A view of memory on one device: pointer, dtype and shape, always dense and row-major. Views own
// nothing; Parameter (parameter.h) and the program's arena do.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "runtime/error.h"

namespace fl {

class Parameter;

enum class DType : uint8_t { f32, f64, i32 };

inline int64_t sizeOf(DType dtype) { return dtype == DType::f64 ? 8 : 4; }
inline const char* nameOf(DType dtype) { return dtype == DType::f32 ? "f32" : dtype == DType::f64 ? "f64" : "i32"; }

template <class T>
constexpr DType dtypeOf();
template <>
constexpr DType dtypeOf<float>() {
  return DType::f32;
}
template <>
constexpr DType dtypeOf<double>() {
  return DType::f64;
}
template <>
constexpr DType dtypeOf<int32_t>() {
  return DType::i32;
}

/// No tensor has more elements: at eight bytes each, more than any machine has, and far from what
/// an int64_t holds.
constexpr int64_t kMaxElements = int64_t{1} << 40;

/// The product of dimensions from 0 on: where every shape from outside is multiplied. -1 where it
/// is above kMaxElements, or a dimension is below 0.
constexpr int64_t elementsOf(int64_t rows, int64_t cols) {
  if (rows < 0 || cols < 0 || rows > kMaxElements || cols > kMaxElements) return -1;
  if (rows > 0 && cols > kMaxElements / rows) return -1;
  return rows * cols;
}

struct Tensor {
  static constexpr int kMaxRank = 2;

  void* data = nullptr;
  DType dtype = DType::f32;
  /// -1 marks an optional operand that is absent.
  int rank = -1;
  std::array<int64_t, kMaxRank> dim{1, 1};
  /// The parameter this is the value of; backends keep packed copies there. Null for everything
  /// else.
  Parameter* parameter = nullptr;

  bool present() const { return rank >= 0; }
  int64_t rows() const { return rank >= 1 ? dim[0] : 1; }
  int64_t cols() const { return rank >= 2 ? dim[1] : 1; }
  int64_t count() const { return rank < 0 ? 0 : rows() * cols(); }
  int64_t bytes() const { return count() * sizeOf(dtype); }

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }

  static Tensor of(void* data, DType dtype, std::initializer_list<int64_t> shape) {
    Tensor t;
    t.data = data;
    t.dtype = dtype;
    t.rank = static_cast<int>(shape.size());
    int i = 0;
    for (int64_t d : shape) t.dim[i++] = d;
    return t;
  }

  bool countable() const { return !present() || elementsOf(rows(), cols()) >= 0; }
  /// Throws INVALID_SHAPE, `name` first, when its dimensions multiply to more than kMaxElements.
  void requireCountable(const std::string& name) const {
    if (!countable())
      fail("INVALID_SHAPE", name + " is " + describe() + ": its dimensions must be 0 or more, with at most " +
                                std::to_string(kMaxElements) + " elements together");
  }

  std::string describe() const {
    if (!present()) return "absent";
    std::string s = std::string(nameOf(dtype)) + "[";
    for (int i = 0; i < rank; i++) {
      if (i > 0) s += ',';
      s += std::to_string(dim[i]);
    }
    return s + "]";
  }
};

}  // namespace fl
