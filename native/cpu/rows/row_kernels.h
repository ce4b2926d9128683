// Kernels on rows of floats: what row_kernels.cc computes, once for each instruction set, and
// cpu/dispatch.h chooses. A result depends on nothing but the row: not on its place, its neighbours
// or the thread.
#pragma once

#include <stdint.h>

#include "cpu/simd/activation.h"
#include "cpu/simd/mask.h"

namespace fl::cpu {

struct AdamWStep {
  float gradientScale, decay, beta1, beta2, oneMinusBeta1, oneMinusBeta2, inverseSqrtCorrection2, eps, stepSize;
};

struct RowKernels {
  /// y = f(x); y may be x.
  void (*activation)(KernelActivation f, const float* x, float* y, int64_t n);
  /// dx = dy f'(x); dx may be dy.
  void (*activationBackward)(KernelActivation f, const float* dy, const float* x, float* dx, int64_t n);

  /// y = mask x / (1 - p), features firstFeature (a multiple of 4) .. firstFeature + n of one
  /// token. y may be x.
  void (*dropout)(const Mask& mask, uint32_t token, uint32_t firstFeature, const float* x, float* y, int64_t n);
  /// y = residual + mask x / (1 - p), features from 0.
  void (*dropoutAdd)(const Mask& mask, uint32_t token, const float* x, const float* residual, float* y, int64_t n);

  /// y = (x - mean) rstd gamma + beta; stats[0] = mean, stats[1] = rstd. y may be x.
  void (*layerNorm)(const float* x, const float* gamma, const float* beta, float eps, float* y, float* stats,
                    int64_t n);
  /// dx of ops/layer_norm.h; dx may be dy.
  void (*layerNormBackward)(const float* dy, const float* x, const float* gamma, const float* stats, float* dx,
                            int64_t n);
  /// dgamma += sum dy xhat and dbeta += sum dy (either may be null) over all rows, chunks of 256 in
  /// order, for columns [0, n), n <= 64, of matrices with `stride` floats a row; stats [rows, 2].
  void (*layerNormBackwardColumns)(const float* dy, const float* x, const float* stats, int64_t rows, int64_t stride,
                                   float* dgamma, float* dbeta, int64_t n);

  /// The largest of x; -inf for n = 0.
  float (*maximum)(const float* x, int64_t n);
  /// sum e^(x - shift), in double over blocks of 4,096.
  double (*sumExp)(const float* x, float shift, int64_t n);
  /// y = a e^(x - shift) + b w, w null: b 1. y may be x.
  void (*expScaleAdd)(const float* x, float shift, float a, float b, const float* w, float* y, int64_t n);

  /// sum x^2 in double.
  double (*squaredNorm)(const float* x, int64_t n);
  void (*adamw)(const AdamWStep& step, const float* gradient, float* p, float* m, float* v, int64_t n);

  /// y [n] = scale times the value of each code: values [16], two codes a byte, the first in its
  /// high half.
  void (*codedValues)(const float* values, const uint8_t* codes, float scale, float* y, int64_t n);
};

// The compiled copies (cpu/dispatch.h).
namespace portable {
extern const RowKernels kRowKernels;
}
namespace avx2 {
extern const RowKernels kRowKernels;
}
namespace avx512 {
extern const RowKernels kRowKernels;
}

}  // namespace fl::cpu
