// One row of layer normalization, forward and backward: layerNorm and addLayerNorm differ only in
// where the row comes from. The ops are layer_norm.cc and add_layer_norm.cc.
#pragma once

#include <cmath>
#include <vector>

#include "runtime/tensor.h"

namespace fl::reference {

/// y = (x - mean) rstd gamma + beta over one row x, held in double. stats (mean, rstd) may be null.
template <class T>
void layerNormRow(const std::vector<double>& x, const T* gamma, const T* beta, double eps, T* y, T* stats) {
  const auto n = static_cast<double>(x.size());
  double mean = 0;
  for (double value : x) mean += value;
  mean /= n;
  double variance = 0;
  for (double value : x) variance += (value - mean) * (value - mean);
  variance /= n;
  const double rstd = 1 / std::sqrt(variance + eps);
  for (size_t j = 0; j < x.size(); j++) y[j] = static_cast<T>((x[j] - mean) * rstd * gamma[j] + beta[j]);
  if (stats != nullptr) {
    stats[0] = static_cast<T>(mean);
    stats[1] = static_cast<T>(rstd);
  }
}

/// dx of one row, with xhat = (x - mean) rstd and g = dy gamma: rstd (g - mean(g) - xhat mean(g
/// xhat)). Adds dy xhat to dgamma and dy to dbeta.
template <class T>
void layerNormRowBackward(const T* dy, const T* x, const T* gamma, const T* stats, std::vector<double>& dx,
                          std::vector<double>& dgamma, std::vector<double>& dbeta) {
  const auto n = static_cast<double>(dx.size());
  const double mean = stats[0], rstd = stats[1];
  double meanG = 0, meanGXhat = 0;
  for (size_t j = 0; j < dx.size(); j++) {
    const double xhat = (x[j] - mean) * rstd, g = static_cast<double>(dy[j]) * gamma[j];
    meanG += g / n;
    meanGXhat += g * xhat / n;
    dgamma[j] += dy[j] * xhat;
    dbeta[j] += dy[j];
  }
  for (size_t j = 0; j < dx.size(); j++) {
    const double xhat = (x[j] - mean) * rstd, g = static_cast<double>(dy[j]) * gamma[j];
    dx[j] = rstd * (g - meanG - xhat * meanGXhat);
  }
}

/// t += sum, when t is present.
template <class T>
void addTo(const Tensor& t, const std::vector<double>& sum) {
  if (!t.present()) return;
  for (size_t i = 0; i < sum.size(); i++) t.as<T>()[i] = static_cast<T>(t.as<T>()[i] + sum[i]);
}

}  // namespace fl::reference
