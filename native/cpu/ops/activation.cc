#include "ops/activation.h"

#include "cpu/ops.h"
#include "cpu/rows/rows.h"

namespace fl::cpu {

static_assert(static_cast<int>(Activation::none) == static_cast<int>(Curve::identity) &&
              static_cast<int>(Activation::gelu) == static_cast<int>(Curve::gelu) &&
              static_cast<int>(Activation::geluTanh) == static_cast<int>(Curve::geluTanh) &&
              static_cast<int>(Activation::relu) == static_cast<int>(Curve::relu) &&
              static_cast<int>(Activation::tanh) == static_cast<int>(Curve::tanh));

void activation(const OpCall& call) {
  const auto op = ActivationOp::bind(call);
  const float* x = op.x.as<float>();
  float* y = op.y.as<float>();
  forElements(op.x.count(), [&](int64_t begin, int64_t end) {
    rowKernels().activation(curveOf(op.kind), x + begin, y + begin, end - begin);
  });
}

void activationBackward(const OpCall& call) {
  const auto op = ActivationBackwardOp::bind(call);
  const float *dy = op.dy.as<float>(), *x = op.x.as<float>();
  float* dx = op.dx.as<float>();
  forElements(op.x.count(), [&](int64_t begin, int64_t end) {
    rowKernels().activationBackward(curveOf(op.kind), dy + begin, x + begin, dx + begin, end - begin);
  });
}

}  // namespace fl::cpu
