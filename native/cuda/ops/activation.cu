// activation: y = f(x).  activationBackward: dx = dy f'(x), where dx may be dy.
// f itself is in activation.cuh, which the products' epilogues use too.
#include "ops/activation.h"

#include "cuda/ops.h"
#include "cuda/ops/activation.cuh"
#include "cuda/ops/elements.cuh"

namespace fl::cuda {
namespace {

struct Activate {
  const float* x;
  float* y;
  Activation kind;
  __device__ void operator()(int64_t i) const { y[i] = activate(kind, x[i]); }
};

struct ActivateBackward {
  const float *dy, *x;
  float* dx;
  Activation kind;
  __device__ void operator()(int64_t i) const { dx[i] = dy[i] * activationSlope(kind, x[i]); }
};

}  // namespace

void activation(const OpCall& call) {
  const auto op = ActivationOp::bind(call);
  forElements("activation", op.x.count(), Activate{op.x.as<float>(), op.y.as<float>(), op.kind});
}

void activationBackward(const OpCall& call) {
  const auto op = ActivationBackwardOp::bind(call);
  forElements("activationBackward", op.x.count(),
              ActivateBackward{op.dy.as<float>(), op.x.as<float>(), op.dx.as<float>(), op.kind});
}

}  // namespace fl::cuda
