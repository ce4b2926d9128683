// squaredNorm: sum of x_i^2 in double.  adamw: one step of one tensor, in place.
// Programs update all tensors at once instead: optimizer_update.cu.
#include "ops/optimizer.h"

#include "cuda/ops.h"
#include "cuda/ops/adamw.cuh"
#include "cuda/ops/double_sums.cuh"
#include "cuda/ops/elements.cuh"

namespace fl::cuda {
namespace {

struct Square {
  const float* x;
  __device__ double operator()(int64_t i) const {
    const double value = x[i];
    return value * value;
  }
};

struct AdamW {
  AdamWTensor t;
  AdamWStep step;
  float gradientScale;
  __device__ void operator()(int64_t i) const { adamwElement(t, step, gradientScale, i); }
};

}  // namespace

void squaredNorm(const OpCall& call) {
  const auto op = SquaredNormOp::bind(call);
  sumInDouble("squaredNorm", Square{op.x.as<float>()}, op.x.count(), 1.0, op.out.as<double>());
}

void adamw(const OpCall& call) {
  const auto op = AdamWOp::bind(call);
  const AdamWTensor t{op.gradient.as<float>(), op.p.as<float>(), op.m.as<float>(), op.v.as<float>()};
  const auto gradientScale = static_cast<float>(op.settings.gradientScale);
  forElements("adamw", op.gradient.count(), AdamW{t, adamwStep(op.settings), gradientScale});
}

}  // namespace fl::cuda
