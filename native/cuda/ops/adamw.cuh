// AdamW on one element; the formulas are in ops/optimizer.h.
// Used tensor by tensor in optimizer.cu, over all tensors at once in optimizer_update.cu.
#pragma once

#include <cmath>

#include "ops/optimizer.h"

namespace fl::cuda {

/// The constants of a step, made in double.
struct AdamWStep {
  float decay, beta1, beta2, oneMinusBeta1, oneMinusBeta2, inverseSqrtCorrection2, eps, stepSize;
};

inline AdamWStep adamwStep(const AdamWSettings& s) {
  return {static_cast<float>(1 - s.learningRate * s.weightDecay),
          static_cast<float>(s.beta1),
          static_cast<float>(s.beta2),
          static_cast<float>(1 - s.beta1),
          static_cast<float>(1 - s.beta2),
          static_cast<float>(1 / std::sqrt(s.correction2)),
          static_cast<float>(s.eps),
          static_cast<float>(s.learningRate / s.correction1)};
}

struct AdamWTensor {
  const float* gradient;
  float *p, *m, *v;
};

__device__ inline void adamwElement(const AdamWTensor& t, const AdamWStep& s, float gradientScale, int64_t i) {
  const float g = gradientScale * t.gradient[i];
  const float m = s.beta1 * t.m[i] + s.oneMinusBeta1 * g;
  const float v = s.beta2 * t.v[i] + s.oneMinusBeta2 * (g * g);
  t.m[i] = m;
  t.v[i] = v;
  t.p[i] = s.decay * t.p[i] - s.stepSize * (m / (sqrtf(v) * s.inverseSqrtCorrection2 + s.eps));
}

}  // namespace fl::cuda
