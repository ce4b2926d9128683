// What several reference ops share: rows of a matrix, dot products, operands rounded to bf16, the
// dropout mask, activations. The ops are declared in reference/ops.h.
#pragma once

#include <cmath>
#include <vector>

#include "ops/linear.h"
#include "runtime/bf16.h"

namespace fl::reference {

/// Row i of t [R, N]. Null when t is absent.
template <class T>
T* row(const Tensor& t, int64_t i) {
  return t.present() ? t.as<T>() + i * t.cols() : nullptr;
}

template <class T>
double dot(const T* a, const T* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

/// The values of a matrix as a product multiplies them.
struct Factors {
  int64_t cols;
  std::vector<double> values;
  double* row(int64_t i) { return values.data() + i * cols; }
  const double* row(int64_t i) const { return values.data() + i * cols; }
};

/// In bf16 rounded from what they are in fp32. An absent operand has none.
template <class T>
Factors factors(const Tensor& t, Precision precision) {
  Factors out{t.cols(), std::vector<double>(static_cast<size_t>(t.count()))};
  for (size_t i = 0; i < out.values.size(); i++) {
    const T value = t.as<T>()[i];
    out.values[i] = precision == Precision::bf16 ? roundToBf16(static_cast<float>(value)) : value;
  }
  return out;
}

/// The mask at (row, feature), times 1 / (1 - p): 0 or the factor of a kept value (1 without
/// dropout).
inline double maskAt(const DropoutSpec& dropout, int64_t row, int64_t feature) {
  const uint32_t word = dropout.key.word(dropout.token(row), static_cast<uint32_t>(feature));
  return word < dropout.threshold() ? 0 : dropout.keepScale();
}

constexpr double kSqrtHalf = 0.70710678118654752440;
constexpr double kSqrtTwoOverPi = 0.79788456080286535588;
constexpr double kInvSqrtTwoPi = 0.39894228040143267794;
constexpr double kGeluCubic = 0.044715;

inline double activate(Activation kind, double x) {
  switch (kind) {
    case Activation::none:
      return x;
    case Activation::gelu:
      return x / 2 * (1 + std::erf(x * kSqrtHalf));
    case Activation::geluTanh:
      return x / 2 * (1 + std::tanh(kSqrtTwoOverPi * (x + kGeluCubic * x * x * x)));
    case Activation::relu:
      return x < 0 ? 0 : x;  // NaN stays NaN: a step that is not finite has to be seen
    case Activation::tanh:
      return std::tanh(x);
  }
  fail("INTERNAL", "unknown activation");
}

/// f'(x).
inline double activateDerivative(Activation kind, double x) {
  switch (kind) {
    case Activation::none:
      return 1;
    case Activation::gelu:
      return 0.5 * (1 + std::erf(x * kSqrtHalf)) + x * kInvSqrtTwoPi * std::exp(-x * x / 2);
    case Activation::geluTanh: {
      const double t = std::tanh(kSqrtTwoOverPi * (x + kGeluCubic * x * x * x));
      return 0.5 * (1 + t) + x / 2 * (1 - t * t) * kSqrtTwoOverPi * (1 + 3 * kGeluCubic * x * x);
    }
    case Activation::relu:
      return x <= 0 ? 0 : 1;
    case Activation::tanh: {
      const double t = std::tanh(x);
      return 1 - t * t;
    }
  }
  fail("INTERNAL", "unknown activation");
}

/// f'(z) dx + residual, for the element of dx at (row, col).
template <class T>
double finished(const GradientEpilogue& e, double dx, int64_t r, int64_t col) {
  if (e.preActivation.present()) dx *= activateDerivative(e.activation, row<T>(e.preActivation, r)[col]);
  if (e.residual.present()) dx += row<T>(e.residual, r)[col];
  return dx;
}

}  // namespace fl::reference
