// linear, linearBackwardInput and linearBackwardWeight in precision bf16: one product each
// (cuda/gemm/product_bf16.h), W from its bf16 copy (cuda/gemm/cast_weights.h). Where the product is
// that of compute capability 9.0, a launch before it casts x or dy. fp32, and which of the two:
// linear.cu.
#include "cuda/ops/linear_bf16.h"

#include "cuda/gemm/cast_copies.cuh"
#include "cuda/gemm/cast_weights.h"
#include "cuda/gemm/held_weights.h"
#include "cuda/gemm/product_bf16.h"
#include "cuda/hopper/product_sm90a.h"

namespace fl::cuda {
namespace {

/// x in bf16 in `scratch`.
const uint16_t* rounded(const char* op, const Tensor& x, float* scratch) {
  Casts casts;
  casts.add(castOf(x, scratch));
  run(op, casts);
  return casts.each[0].to;
}

bool readsWide(const Tensor& W, BaseWeights form, int64_t rows, bool sm90a) {
  return form == BaseWeights::fp32 && !sm90a && rows <= kMostWideRows && !keepsCastCopy(W);
}

}  // namespace

void linearBf16(const LinearOp& op) {
  const char* const name = "linear";
  if (op.x.rows() == 0) return;
  const bool sm90a = op.baseWeights == BaseWeights::fp32 && hopper::takes(op.W.rows(), false);
  ProductBf16 p;
  p.wide = readsWide(op.W, op.baseWeights, op.x.rows(), sm90a);
  const int64_t countW = WeightBf16::scratchCount(op.W, op.baseWeights, Layout::nt, op.x, p.wide);
  const Device::Scratch scratch =
      Device::instance().scratch(countW + (sm90a ? castCount(op.x.rows(), op.x.cols()) : 0));
  const WeightBf16 W(name, op.W, op.baseWeights, Layout::nt, op.x, scratch.data(), p.wide);
  p.rows = productSize(name, op.x.rows());
  p.cols = productSize(name, op.W.rows());
  p.parts[0] = {op.x.as<float>(), nullptr, W.data(), productSize(name, op.x.cols())};
  if (sm90a) p.parts[0].rounded = rounded(name, op.x, scratch.data() + countW);
  p.out = op.y.as<float>();
  p.bias = op.b.as<float>();
  p.residual = op.residual.as<float>();
  p.preActivation = op.preActivation.as<float>();
  p.activation = op.activation;
  run(name, Layout::nt, p, W.held());
}

void linearBackwardInputBf16(const LinearBackwardInputOp& op) {
  const char* const name = "linearBackwardInput";
  if (op.dy.rows() == 0) return;
  const bool sm90a = op.baseWeights == BaseWeights::fp32 && hopper::takes(op.W.cols(), false);
  ProductBf16 p;
  p.wide = readsWide(op.W, op.baseWeights, op.dy.rows(), sm90a);
  const int64_t countW = WeightBf16::scratchCount(op.W, op.baseWeights, Layout::nn, op.dy, p.wide);
  const Device::Scratch scratch =
      Device::instance().scratch(countW + (sm90a ? castCount(op.dy.rows(), op.dy.cols()) : 0));
  const WeightBf16 W(name, op.W, op.baseWeights, Layout::nn, op.dy, scratch.data(), p.wide);
  p.rows = productSize(name, op.dy.rows());
  p.cols = productSize(name, op.W.cols());
  p.parts[0] = {op.dy.as<float>(), nullptr, W.data(), productSize(name, op.W.rows())};
  if (sm90a) p.parts[0].rounded = rounded(name, op.dy, scratch.data() + countW);
  p.out = op.dx.as<float>();
  setEpilogue(p, op.epilogue);
  run(name, Layout::nn, p, W.held());
}

void linearBackwardWeightBf16(const LinearBackwardWeightOp& op) {
  const char* const name = "linearBackwardWeight";
  ProductBf16 p;
  p.rows = productSize(name, op.dy.cols());
  p.cols = productSize(name, op.x.cols());
  p.parts[0] = {op.dy.as<float>(), nullptr, op.x.data, productSize(name, op.x.rows())};
  p.out = op.dW.as<float>();
  run(name, Layout::tn, p);
}

}  // namespace fl::cuda
