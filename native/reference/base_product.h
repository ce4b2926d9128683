// The products with a frozen weight, x W^T and dy W, in every form that the weight is held in
// (ops/base_weights.h). What the ops do with them: linear.cc, lora_linear.cc.
#pragma once

#include <algorithm>
#include <vector>

#include "ops/base_weights.h"
#include "reference/math.h"
#include "runtime/int8.h"
#include "runtime/nf4.h"

namespace fl::reference {

/// Rows of a matrix as int8 codes with a scale each.
struct Int8Rows {
  int64_t cols;
  std::vector<int8_t> codes;
  std::vector<float> scales;

  const int8_t* row(int64_t i) const { return codes.data() + i * cols; }

  /// Of rows that are multiplied, column by column, by `factors` first; null: by nothing.
  template <class T>
  static Int8Rows of(const Tensor& t, const float* factors) {
    Int8Rows out{t.cols(), std::vector<int8_t>(static_cast<size_t>(t.count())), {}};
    std::vector<float> values(static_cast<size_t>(t.cols()));
    for (int64_t r = 0; r < t.rows(); r++) {
      for (int64_t k = 0; k < t.cols(); k++) {
        const auto value = static_cast<float>(t.as<T>()[r * t.cols() + k]);
        values[static_cast<size_t>(k)] = factors ? value * factors[k] : value;
      }
      const Int8Scale scale = int8ScaleOf(largestOf(values.data(), t.cols()));
      out.scales.push_back(scale.scale);
      for (int64_t k = 0; k < t.cols(); k++)
        out.codes[static_cast<size_t>(r * t.cols() + k)] = int8CodeOf(values[static_cast<size_t>(k)], scale);
    }
    return out;
  }
};

/// W as it is multiplied.
template <class T>
Factors weightFactors(const Tensor& W, Precision precision, BaseWeights weights) {
  if (weights != BaseWeights::nf4) return factors<T>(W, precision);
  const int64_t count = W.count(), blocks = nf4::blocksOf(count);
  std::vector<float> values, scales, nested(static_cast<size_t>(nf4::nestedOf(count)));
  for (int64_t i = 0; i < count; i++) values.push_back(static_cast<float>(W.as<T>()[i]));
  std::vector<uint8_t> codes(static_cast<size_t>((count + 1) / 2)), scaleCodes(static_cast<size_t>(blocks));
  for (int64_t b = 0; b < blocks; b++) {
    const int64_t first = b * nf4::kBlock, length = std::min(nf4::kBlock, count - first);
    scales.push_back(nf4::scaleOf(values.data() + first, length));
    nf4::quantiseBlock(values.data() + first, length, scales.back(), codes.data() + first / 2);
  }
  const float mean = nf4::quantiseScales(scales.data(), blocks, scaleCodes.data(), nested.data());
  const nf4::Weights held{codes.data(), scaleCodes.data(), nested.data(), mean};
  Factors out{W.cols(), {}};
  for (int64_t i = 0; i < count; i++) {
    const float value = nf4::kValues[held.codeOf(i)] * held.scaleOf(i / nf4::kBlock);
    out.values.push_back(precision == Precision::bf16 ? roundToBf16(value) : value);
  }
  return out;
}

/// x W^T [R, N].
template <class T>
Factors baseOutput(const Tensor& x, const Tensor& W, Precision precision, BaseWeights weights) {
  const int64_t in = x.cols(), outs = W.rows();
  Factors y{outs, std::vector<double>(static_cast<size_t>(x.rows() * outs))};
  if (weights == BaseWeights::int8) {
    const Int8Rows left = Int8Rows::of<T>(x, nullptr), right = Int8Rows::of<T>(W, nullptr);
    for (int64_t r = 0; r < x.rows(); r++)
      for (int64_t n = 0; n < outs; n++) {
        int64_t sum = 0;
        for (int64_t k = 0; k < in; k++) sum += int64_t{left.row(r)[k]} * right.row(n)[k];
        y.row(r)[n] = static_cast<double>(sum) * left.scales[static_cast<size_t>(r)] *
                      static_cast<double>(right.scales[static_cast<size_t>(n)]);
      }
    return y;
  }
  const Factors left = factors<T>(x, precision), right = weightFactors<T>(W, precision, weights);
  for (int64_t r = 0; r < x.rows(); r++)
    for (int64_t n = 0; n < outs; n++) y.row(r)[n] = dot(left.row(r), right.row(n), in);
  return y;
}

/// dy W [R, K].
template <class T>
Factors baseGradient(const Tensor& dy, const Tensor& W, Precision precision, BaseWeights weights) {
  const int64_t in = W.cols(), outs = W.rows();
  Factors dx{in, std::vector<double>(static_cast<size_t>(dy.rows() * in))};
  if (weights == BaseWeights::int8) {
    const Int8Rows right = Int8Rows::of<T>(W, nullptr), left = Int8Rows::of<T>(dy, right.scales.data());
    std::vector<int64_t> sums(static_cast<size_t>(in));
    for (int64_t r = 0; r < dy.rows(); r++) {
      sums.assign(sums.size(), 0);
      for (int64_t n = 0; n < outs; n++)
        for (int64_t k = 0; k < in; k++) sums[static_cast<size_t>(k)] += int64_t{left.row(r)[n]} * right.row(n)[k];
      for (int64_t k = 0; k < in; k++)
        dx.row(r)[k] = static_cast<double>(sums[static_cast<size_t>(k)]) * left.scales[static_cast<size_t>(r)];
    }
    return dx;
  }
  const Factors left = factors<T>(dy, precision), right = weightFactors<T>(W, precision, weights);
  for (int64_t r = 0; r < dy.rows(); r++)
    for (int64_t n = 0; n < outs; n++)
      for (int64_t k = 0; k < in; k++) dx.row(r)[k] += left.row(r)[n] * right.row(n)[k];
  return dx;
}

}  // namespace fl::reference
