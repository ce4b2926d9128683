// activation and activationBackward on the CPU, over pieces of the tensor.
// The functions on vectors are in cpu/simd/math.inc; fused into products: cpu/gemm/tile.inc.
#include "ops/activation.h"

#include "cpu/ops.h"
#include "cpu/rows/rows.h"

namespace fl::cpu {

void activation(const OpCall& call) {
  const auto op = ActivationOp::bind(call);
  const float* x = op.x.as<float>();
  float* y = op.y.as<float>();
  forElements(op.x.count(), [&](int64_t begin, int64_t end) {
    rowKernels().activation(kernelActivation(op.kind), x + begin, y + begin, end - begin);
  });
}

void activationBackward(const OpCall& call) {
  const auto op = ActivationBackwardOp::bind(call);
  const float *dy = op.dy.as<float>(), *x = op.x.as<float>();
  float* dx = op.dx.as<float>();
  forElements(op.x.count(), [&](int64_t begin, int64_t end) {
    rowKernels().activationBackward(kernelActivation(op.kind), dy + begin, x + begin, dx + begin, end - begin);
  });
}

}  // namespace fl::cpu
