// loraLinear and loraLinearBackward in precision bf16, in the steps of lora_linear.cu. The launch
// that makes u (or v) also casts the factor that the large product multiplies it by.
#include "cuda/gemm/cast_weights.h"
#include "cuda/gemm/low_rank_bf16.h"
#include "cuda/gemm/product_bf16.h"
#include "cuda/gemm/weight_gradient.h"
#include "cuda/ops/linear_bf16.h"

namespace fl::cuda {
namespace {

/// Hands out pieces of scratch memory, aligned for chunks of 16 bytes.
class Pieces {
 public:
  static int64_t whole(int64_t count) { return ceilDivide(count, 4) * 4; }
  explicit Pieces(float* begin) : next_(begin) {}
  float* take(int64_t count) {
    float* const piece = next_;
    next_ += whole(count);
    return piece;
  }

 private:
  float* next_;
};

Cast castOf(const Tensor& factor, float* to) {
  return {factor.rows(), static_cast<int>(factor.cols()), factor.as<float>(), reinterpret_cast<uint16_t*>(to)};
}

}  // namespace

void loraLinearBf16(const LoraLinearOp& op) {
  const char* const name = "loraLinear";
  if (op.x.rows() == 0) return;
  const int64_t countW = CastWeight::scratchCount(op.W), countB = castCount(op.B.rows(), op.B.cols());
  const Device::Scratch scratch = Device::instance().scratch(Pieces::whole(countW) + countB);
  Pieces pieces(scratch.data());
  const CastWeight W(name, op.W, pieces.take(countW));
  float* const B = pieces.take(countB);

  LowRankBf16 u;
  u.rows = op.x.rows();
  u.depth = productSize(name, op.x.cols());
  u.rank = static_cast<int>(op.A.rows());
  u.x = op.x.as<float>();
  u.mask = maskOf(op.dropout);
  u.factor = op.A.as<float>();
  u.scaling = static_cast<float>(op.scaling);
  u.out = op.u.as<float>();
  u.cast = castOf(op.B, B);
  run(name, u);

  ProductBf16 y;
  y.rows = productSize(name, op.x.rows());
  y.cols = productSize(name, op.W.rows());
  y.parts[0] = {op.x.as<float>(), W.data(), u.depth};
  y.parts[1] = {u.out, B, u.rank};
  y.out = op.y.as<float>();
  y.bias = op.b.as<float>();
  y.residual = op.residual.as<float>();
  y.preActivation = op.preActivation.as<float>();
  y.activation = op.activation;
  run(name, Layout::nt, y);
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
  const int64_t countW = withDx ? CastWeight::scratchCount(op.W) : 0, countA = withDx ? castCount(rank, in) : 0;
  const int64_t countPartials = std::max(partialCount(dA), partialCount(dB));
  const Device::Scratch scratch = Device::instance().scratch(Pieces::whole(countW) + Pieces::whole(countA) +
                                                             Pieces::whole(rows * rank) + countPartials);
  Pieces pieces(scratch.data());
  float* const castW = pieces.take(countW);
  float* const castA = pieces.take(countA);

  LowRankBf16 v;
  v.rows = rows;
  v.depth = productSize(name, out);
  v.rank = static_cast<int>(rank);
  v.x = op.dy.as<float>();
  v.factor = op.B.as<float>();
  v.depthContiguous = false;
  v.scaling = static_cast<float>(op.scaling);
  v.out = pieces.take(rows * rank);
  if (withDx) v.cast = castOf(op.A, castA);
  run(name, v);
  float* const partials = pieces.take(countPartials);

  if (withDx) {
    const CastWeight W(name, op.W, castW);
    ProductBf16 dx;
    dx.rows = productSize(name, rows);
    dx.cols = productSize(name, in);
    dx.mask = maskOf(op.dropout);
    // The mask is on v A alone: with one, that part comes first.
    const int main = dx.mask.active ? 1 : 0;
    dx.parts[main] = {op.dy.as<float>(), W.data(), v.depth};
    dx.parts[1 - main] = {v.out, castA, v.rank};
    dx.out = op.dx.as<float>();
    setEpilogue(dx, op.epilogue);
    run(name, Layout::nn, dx);
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
