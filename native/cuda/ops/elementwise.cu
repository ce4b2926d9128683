// add: y = a + b.  scale: y = factor x.  dropout: y = mask * x / (1 - p).
// The output may be an input. Dropout fused with a residual is in layer_norm.cu.
#include "ops/elementwise.h"

#include "cuda/ops.h"
#include "cuda/ops/elements.cuh"
#include "cuda/ops/rows.cuh"

namespace fl::cuda {
namespace {

struct Add {
  const float *a, *b;
  float* y;
  __device__ void operator()(int64_t i) const { y[i] = a[i] + b[i]; }
};

struct Scale {
  const float* x;
  float factor;
  float* y;
  __device__ void operator()(int64_t i) const { y[i] = factor * x[i]; }
};

struct Dropout {
  const float* x;
  float* y;
  int64_t cols;
  Mask mask;
};

template <class Team>
struct DropoutRow {
  __device__ static void run(const Dropout& d, int64_t row) {
    Team::forQuads(d.cols, [&](int, int64_t first) {
      Quad q = Team::load(d.x + row * d.cols, first, d.cols);
      if (d.mask.active) maskQuad(d.mask, row, first, q);
      Team::store(d.y + row * d.cols, first, d.cols, q);
    });
  }
};

}  // namespace

void add(const OpCall& call) {
  const auto op = AddOp::bind(call);
  forElements("add", op.y.count(), Add{op.a.as<float>(), op.b.as<float>(), op.y.as<float>()});
}

void scale(const OpCall& call) {
  const auto op = ScaleOp::bind(call);
  forElements("scale", op.y.count(), Scale{op.x.as<float>(), static_cast<float>(op.factor), op.y.as<float>()});
}

void dropout(const OpCall& call) {
  const auto op = DropoutOp::bind(call);
  forRows<DropoutRow>("dropout", op.x.rows(), op.x.cols(),
                      Dropout{op.x.as<float>(), op.y.as<float>(), op.x.cols(), maskOf(op.dropout)});
}

}  // namespace fl::cuda
