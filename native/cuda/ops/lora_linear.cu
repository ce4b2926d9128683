// loraLinear and loraLinearBackward in fp32 (bf16: lora_linear_bf16.cu; several adapters in one
// batch: segmented_lora_linear.cu):
//
//   u  = s dropout(x) A^T                         lowRankProduct
//   y  = f(x W^T + b + u B^T) + residual          one product: u B^T is `rank` more steps of x W^T
//
//   v  = s dy B                                   lowRankProduct
//   dx = f'(z) (dy W + mask * (v A)) + residual   one product, the mask between its two parts
//   dA += v^T (mask * x),  dB += dy^T u           weight_gradient.h: fixed pieces of the rows
//
// x and dy are read once more for u and v than a kernel needs that makes them inside the large
// product.
#include "ops/lora_linear.h"

#include "cuda/device/launch.h"
#include "cuda/gemm/held_weights.h"
#include "cuda/gemm/low_rank_f32.cuh"
#include "cuda/gemm/product_f32.h"
#include "cuda/gemm/scratch_pieces.h"
#include "cuda/gemm/selection.h"
#include "cuda/gemm/weight_gradient.h"
#include "cuda/hopper/product_sm90a.h"
#include "cuda/ops.h"
#include "cuda/ops/linear_bf16.h"
#include "cuda/ops/linear_group.h"

namespace fl::cuda {
namespace {

/// Grid: rows / kBlockRows, rank / kRanks.
template <bool depthContiguous>
__global__ void __launch_bounds__(LowRankProduct::kThreads) lowRankProduct(const LowRankProduct p) {
  lowRankRows<depthContiguous>(p, blockIdx.x * int64_t{LowRankProduct::kBlockRows},
                               blockIdx.y * int64_t{LowRankProduct::kRanks});
}

template <bool depthContiguous>
void run(const char* op, const LowRankProduct& p) {
  if (p.rows == 0) return;
  const dim3 grid(blocks(op, ceilDivide(p.rows, LowRankProduct::kBlockRows)),
                  blocksDown(op, ceilDivide(p.rank, LowRankProduct::kRanks)));
  launch(op, lowRankProduct<depthContiguous>, grid, LowRankProduct::kThreads, p);
}

}  // namespace

void loraLinear(const OpCall& call) {
  const auto op = LoraLinearOp::bind(call);
  if (op.precision == Precision::bf16) return loraLinearBf16(op);
  const int64_t rows = op.x.rows(), in = op.x.cols(), rank = op.A.rows();
  const Device::Scratch scratch =
      Device::instance().scratch(HeldWeight::scratchCount(op.W, op.baseWeights, Layout::nt, op.x));
  const HeldWeight W("loraLinear", op.W, op.baseWeights, Layout::nt, op.x, scratch.data());

  LowRankProduct u;
  u.rows = rows;
  u.depth = in;
  u.rank = rank;
  u.x = op.x.as<float>();
  u.mask = maskOf(op.dropout);
  u.factor = op.A.as<float>();
  u.scaling = static_cast<float>(op.scaling);
  u.out = op.u.as<float>();
  run<true>("loraLinear", u);

  Product y;
  y.rows = rows;
  y.cols = op.W.rows();
  y.main = {op.x.as<float>(), op.W.as<float>(), in};
  y.update = {op.u.as<float>(), op.B.as<float>(), rank};
  y.out = op.y.as<float>();
  y.bias = op.b.as<float>();
  y.residual = op.residual.as<float>();
  y.preActivation = op.preActivation.as<float>();
  y.activation = op.activation;
  run("loraLinear", Layout::nt, y, W);
}

void loraLinearBackward(const OpCall& call) {
  const auto op = LoraLinearBackwardOp::bind(call);
  const bool held = op.baseWeights != BaseWeights::fp32;
  if (op.precision == Precision::bf16 && !held && !op.dropout.active() && !hopper::wanted())
    return runLoraBackward(call);
  if (op.precision == Precision::bf16) return loraLinearBackwardBf16(op);
  const int64_t rows = op.x.rows(), in = op.x.cols(), out = op.dy.cols(), rank = op.A.rows();
  const char* const name = "loraLinearBackward";
  if (rows == 0) return;

  WeightGradient dA, dB;
  dA.rows = dB.rows = rows;
  dA.rank = dB.rank = rank;
  dA.cols = in;
  dB.cols = out;
  const int64_t countW =
      op.dx.present() ? HeldWeight::scratchCount(op.W, op.baseWeights, Layout::nn, op.dy) : int64_t{0};
  const int64_t countPartials = std::max(partialCount(dA), partialCount(dB));
  const Device::Scratch scratch = Device::instance().scratch(Pieces::countOf({countW, rows * rank, countPartials}));
  Pieces pieces(scratch.data());
  float* const heldW = pieces.take(countW);

  LowRankProduct v;
  v.rows = rows;
  v.depth = out;
  v.rank = rank;
  v.x = op.dy.as<float>();
  v.factor = op.B.as<float>();
  v.scaling = static_cast<float>(op.scaling);
  v.out = pieces.take(rows * rank);
  run<false>(name, v);
  float* const partials = pieces.take(countPartials);

  if (op.dx.present()) {
    const HeldWeight W(name, op.W, op.baseWeights, Layout::nn, op.dy, heldW);
    Product dx;
    dx.rows = rows;
    dx.cols = in;
    dx.main = {op.dy.as<float>(), op.W.as<float>(), out};
    dx.update = {v.out, op.A.as<float>(), rank};
    dx.out = op.dx.as<float>();
    dx.mask = maskOf(op.dropout);
    setEpilogue(dx, op.epilogue);
    run(name, Layout::nn, dx, W);
  }

  dA.p = v.out;
  dA.q = op.x.as<float>();
  dA.mask = maskOf(op.dropout);
  dA.out = op.dA.as<float>();
  run(name, dA, partials);

  dB.p = op.u.as<float>();
  dB.q = op.dy.as<float>();
  dB.transposed = true;
  dB.out = op.dB.as<float>();
  run(name, dB, partials);
}

}  // namespace fl::cuda
