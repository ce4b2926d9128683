// add: y = a + b.  scale: y = factor x.  The output may be an input.
#include "ops/elementwise.h"

#include "cuda/launch.h"
#include "cuda/ops.h"
#include "cuda/selection.h"

namespace fl::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) addKernel(const float* a, const float* b, float* y, int64_t count) {
  const int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x;
  if (i < count) y[i] = a[i] + b[i];
}

__global__ void __launch_bounds__(kThreads) scaleKernel(const float* x, float factor, float* y, int64_t count) {
  const int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x;
  if (i < count) y[i] = factor * x[i];
}

}  // namespace

void add(const OpCall& call) {
  const auto op = AddOp::bind(call);
  const int64_t count = op.y.count();
  if (count == 0) return;
  launch("add", addKernel, dim3(blocks("add", ceilDivide(count, kThreads))), kThreads, op.a.as<float>(),
         op.b.as<float>(), op.y.as<float>(), count);
}

void scale(const OpCall& call) {
  const auto op = ScaleOp::bind(call);
  const int64_t count = op.y.count();
  if (count == 0) return;
  launch("scale", scaleKernel, dim3(blocks("scale", ceilDivide(count, kThreads))), kThreads, op.x.as<float>(),
         static_cast<float>(op.factor), op.y.as<float>(), count);
}

}  // namespace fl::cuda
