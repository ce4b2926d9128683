// linear, linearBackwardInput and linearBackwardWeight in precision bf16: one product each
// (cuda/gemm/product_bf16.h), W from its bf16 copy (cuda/gemm/cast_weights.h). fp32, and which of
// the two: linear.cu.
#include "cuda/ops/linear_bf16.h"

#include "cuda/gemm/cast_weights.h"
#include "cuda/gemm/product_bf16.h"

namespace fl::cuda {

void linearBf16(const LinearOp& op) {
  const char* const name = "linear";
  if (op.x.rows() == 0) return;
  const Device::Scratch scratch = Device::instance().scratch(CastWeight::scratchCount(op.W));
  const CastWeight W(name, op.W, scratch.data());
  ProductBf16 p;
  p.rows = productSize(name, op.x.rows());
  p.cols = productSize(name, op.W.rows());
  p.parts[0] = {op.x.as<float>(), W.data(), productSize(name, op.x.cols())};
  p.out = op.y.as<float>();
  p.bias = op.b.as<float>();
  p.residual = op.residual.as<float>();
  p.preActivation = op.preActivation.as<float>();
  p.activation = op.activation;
  run(name, Layout::nt, p);
}

void linearBackwardInputBf16(const LinearBackwardInputOp& op) {
  const char* const name = "linearBackwardInput";
  if (op.dy.rows() == 0) return;
  const Device::Scratch scratch = Device::instance().scratch(CastWeight::scratchCount(op.W));
  const CastWeight W(name, op.W, scratch.data());
  ProductBf16 p;
  p.rows = productSize(name, op.dy.rows());
  p.cols = productSize(name, op.W.cols());
  p.parts[0] = {op.dy.as<float>(), W.data(), productSize(name, op.W.rows())};
  p.out = op.dx.as<float>();
  setEpilogue(p, op.epilogue);
  run(name, Layout::nn, p);
}

void linearBackwardWeightBf16(const LinearBackwardWeightOp& op) {
  const char* const name = "linearBackwardWeight";
  ProductBf16 p;
  p.rows = productSize(name, op.dy.cols());
  p.cols = productSize(name, op.x.cols());
  p.parts[0] = {op.dy.as<float>(), op.x.data, productSize(name, op.x.rows())};
  p.out = op.dW.as<float>();
  run(name, Layout::tn, p);
}

}  // namespace fl::cuda
