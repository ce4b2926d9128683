// loraLinear and loraLinearBackward in precision bf16, in the steps of lora_linear.cu. The launch
// that makes u (or v) also casts the factor that the large product multiplies it by.
//
// On compute capability 9.0 (cuda/hopper/product_sm90a.h) it casts x (or dy) too, and u where the
// product does not make u itself.
#include "cuda/gemm/cast_copies.cuh"
#include "cuda/gemm/cast_weights.h"
#include "cuda/gemm/held_weights.h"
#include "cuda/gemm/low_rank_bf16.h"
#include "cuda/gemm/product_bf16.h"
#include "cuda/gemm/scratch_pieces.h"
#include "cuda/gemm/weight_gradient.h"
#include "cuda/hopper/adapter_rule.h"
#include "cuda/hopper/product_sm90a.h"
#include "cuda/ops/linear_bf16.h"

namespace fl::cuda {

void loraLinearBf16(const LoraLinearOp& op) {
  const char* const name = "loraLinear";
  const int64_t rows = op.x.rows(), in = op.x.cols(), out = op.W.rows(), rank = op.A.rows();
  if (rows == 0) return;
  // Dropout is on u alone here: no mask lies between the parts of the large product.
  const bool sm90a = op.baseWeights == BaseWeights::fp32 && hopper::takes(out, false);
  const bool makesU = sm90a && hopper::selectMakeU(out, rank, op.dropout.active()) == hopper::MakeU::extraColumns;
  const int64_t countW = WeightBf16::scratchCount(op.W, op.baseWeights, Layout::nt, op.x),
                countB = castCount(out, rank);
  const int64_t countX = sm90a ? castCount(rows, in) : 0, countA = makesU ? castCount(rank, in) : 0;
  const int64_t countU = sm90a && !makesU ? castCount(rows, rank) : 0;
  const Device::Scratch scratch = Device::instance().scratch(Pieces::countOf({countW, countB, countX, countA, countU}));
  Pieces pieces(scratch.data());
  const WeightBf16 W(name, op.W, op.baseWeights, Layout::nt, op.x, pieces.take(countW));
  Casts casts;
  casts.add(castOf(op.B, pieces.take(countB)));
  if (sm90a) casts.add(castOf(op.x, pieces.take(countX)));

  ProductBf16 y;
  y.rows = productSize(name, rows);
  y.cols = productSize(name, out);
  y.parts[0] = {op.x.as<float>(), sm90a ? casts.each[1].to : nullptr, W.data(), productSize(name, in)};
  y.parts[1] = {op.u.as<float>(), nullptr, casts.each[0].to, static_cast<int>(rank)};
  y.out = op.y.as<float>();
  y.bias = op.b.as<float>();
  y.residual = op.residual.as<float>();
  y.preActivation = op.preActivation.as<float>();
  y.activation = op.activation;

  if (makesU) {
    casts.add(castOf(op.A, pieces.take(countA)));
    y.madeU = {casts.each[2].to, op.u.as<float>(), static_cast<float>(op.scaling)};
    run(name, casts);
  } else {
    LowRankBf16 u;
    u.rows = rows;
    u.depth = productSize(name, in);
    u.rank = static_cast<int>(rank);
    u.x = op.x.as<float>();
    u.mask = maskOf(op.dropout);
    u.factor = op.A.as<float>();
    u.scaling = static_cast<float>(op.scaling);
    u.out = op.u.as<float>();
    if (sm90a) y.parts[1].rounded = u.rounded = pieces.takeHalves(countU);
    u.casts = casts;
    run(name, u);
  }
  run(name, Layout::nt, y, W.held());
}

void loraLinearBackwardBf16(const LoraLinearBackwardOp& op) {
  const char* const name = "loraLinearBackward";
  const int64_t rows = op.x.rows(), in = op.x.cols(), out = op.dy.cols(), rank = op.A.rows();
  if (rows == 0) return;
  const bool withDx = op.dx.present();
  WeightGradient dA, dB;
  dA.rows = dB.rows = rows;
  dA.rank = dB.rank = rank;
  dA.cols = in;
  dB.cols = out;
  dA.precision = dB.precision = Precision::bf16;
  const int64_t countW = withDx ? WeightBf16::scratchCount(op.W, op.baseWeights, Layout::nn, op.dy) : 0;
  const int64_t countA = withDx ? castCount(rank, in) : 0;
  const bool sm90a = withDx && op.baseWeights == BaseWeights::fp32 && hopper::takes(in, op.dropout.active());
  const int64_t countDy = sm90a ? castCount(rows, out) : 0, countV = sm90a ? castCount(rows, rank) : 0;
  const int64_t countPartials = std::max(partialCount(dA), partialCount(dB));
  const Device::Scratch scratch =
      Device::instance().scratch(Pieces::countOf({countW, countA, countDy, countV, rows * rank, countPartials}));
  Pieces pieces(scratch.data());
  float* const memoryOfW = pieces.take(countW);

  LowRankBf16 v;
  v.rows = rows;
  v.depth = productSize(name, out);
  v.rank = static_cast<int>(rank);
  v.x = op.dy.as<float>();
  v.factor = op.B.as<float>();
  v.depthContiguous = false;
  v.scaling = static_cast<float>(op.scaling);
  v.out = pieces.take(rows * rank);
  if (withDx) v.casts.add(castOf(op.A, pieces.take(countA)));
  if (sm90a) {
    v.casts.add(castOf(op.dy, pieces.take(countDy)));
    v.rounded = pieces.takeHalves(countV);
  }
  run(name, v);
  float* const partials = pieces.take(countPartials);

  if (withDx) {
    const WeightBf16 W(name, op.W, op.baseWeights, Layout::nn, op.dy, memoryOfW);
    ProductBf16 dx;
    dx.rows = productSize(name, rows);
    dx.cols = productSize(name, in);
    dx.mask = maskOf(op.dropout);
    // The mask is on v A alone: with one, that part comes first.
    const int main = dx.mask.active ? 1 : 0;
    dx.parts[main] = {op.dy.as<float>(), v.casts.each[1].to, W.data(), v.depth};
    dx.parts[1 - main] = {v.out, v.rounded, v.casts.each[0].to, v.rank};
    dx.out = op.dx.as<float>();
    setEpilogue(dx, op.epilogue);
    run(name, Layout::nn, dx, W.held());
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
