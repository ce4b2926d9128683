// The linear ops in fp32, each a product of cuda/gemm/product_f32.h or a sum over rows; bf16 goes
// to linear_bf16.cu, the layer with an adapter is lora_linear.cu.
//
// linear:               y = f(x W^T + b) + residual
// linearBackwardInput:  dx = f'(z) dy W + residual
// linearBackwardWeight: dW += dy^T x
// biasBackward:         db += sum_rows dy
#include "ops/linear.h"

#include "cuda/device/device.h"
#include "cuda/gemm/held_weights.h"
#include "cuda/gemm/product_f32.h"
#include "cuda/gemm/selection.h"
#include "cuda/gemm/weight_gradient.h"
#include "cuda/ops.h"
#include "cuda/ops/column_sums.cuh"
#include "cuda/ops/linear_bf16.h"

namespace fl::cuda {
namespace {

struct BiasTerms {
  static constexpr int kSums = 1;
  const float* dy;
  int64_t cols;

  __device__ void add(int64_t row, int64_t col, float (&sum)[kSums]) const { sum[0] += dy[row * cols + col]; }
};

}  // namespace

void linear(const OpCall& call) {
  const auto op = LinearOp::bind(call);
  if (op.precision == Precision::bf16) return linearBf16(op);
  const char* const name = "linear";
  const Device::Scratch scratch =
      Device::instance().scratch(HeldWeight::scratchCount(op.W, op.baseWeights, Layout::nt, op.x));
  const HeldWeight W(name, op.W, op.baseWeights, Layout::nt, op.x, scratch.data());
  Product p;
  p.rows = op.x.rows();
  p.cols = op.W.rows();
  p.main = {op.x.as<float>(), op.W.as<float>(), op.x.cols()};
  p.out = op.y.as<float>();
  p.bias = op.b.as<float>();
  p.residual = op.residual.as<float>();
  p.preActivation = op.preActivation.as<float>();
  p.activation = op.activation;
  run(name, Layout::nt, p, W);
}

void linearBackwardInput(const OpCall& call) {
  const auto op = LinearBackwardInputOp::bind(call);
  if (op.precision == Precision::bf16) return linearBackwardInputBf16(op);
  const char* const name = "linearBackwardInput";
  const Device::Scratch scratch =
      Device::instance().scratch(HeldWeight::scratchCount(op.W, op.baseWeights, Layout::nn, op.dy));
  const HeldWeight W(name, op.W, op.baseWeights, Layout::nn, op.dy, scratch.data());
  Product p;
  p.rows = op.dy.rows();
  p.cols = op.W.cols();
  p.main = {op.dy.as<float>(), op.W.as<float>(), op.W.rows()};
  p.out = op.dx.as<float>();
  setEpilogue(p, op.epilogue);
  run(name, Layout::nn, p, W);
}

void linearBackwardWeight(const OpCall& call) {
  const auto op = LinearBackwardWeightOp::bind(call);
  const int64_t rows = op.x.rows(), n = op.dy.cols(), k = op.x.cols();
  if (!isThin(n, k) && op.precision == Precision::bf16) return linearBackwardWeightBf16(op);
  if (!isThin(n, k)) {
    Product p;
    p.rows = n;
    p.cols = k;
    p.main = {op.dy.as<float>(), op.x.as<float>(), rows};
    p.out = op.dW.as<float>();
    run("linearBackwardWeight", Layout::tn, p);
    return;
  }
  // dW [n, k] = p^T q with the thin side as p: dy^T x, or transposed x^T dy.
  WeightGradient sum;
  sum.rows = rows;
  sum.transposed = k < n;
  sum.rank = sum.transposed ? k : n;
  sum.cols = sum.transposed ? n : k;
  sum.p = (sum.transposed ? op.x : op.dy).as<float>();
  sum.q = (sum.transposed ? op.dy : op.x).as<float>();
  sum.out = op.dW.as<float>();
  sum.precision = op.precision;
  const Device::Scratch partials = Device::instance().scratch(partialCount(sum));
  run("linearBackwardWeight", sum, partials.data());
}

void biasBackward(const OpCall& call) {
  const auto op = BiasBackwardOp::bind(call);
  addColumnSums("biasBackward", BiasTerms{op.dy.as<float>(), op.dy.cols()}, op.dy.rows(), op.dy.cols(),
                {{op.db.as<float>()}});
}

}  // namespace fl::cuda
