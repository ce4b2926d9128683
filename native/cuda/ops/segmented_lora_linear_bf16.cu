// segmentedLoraLinear and its gradients in precision bf16, in the steps of
// segmented_lora_linear.cu: kernels find segments on the device, and the launch that makes u (or v)
// also casts the factors that the large product reads. By the portable kernels on every GPU: a row
// has the bits of loraLinear's there.
#include "cuda/gemm/cast_copies.cuh"
#include "cuda/gemm/cast_weights.h"
#include "cuda/gemm/held_weights.h"
#include "cuda/gemm/low_rank_bf16.h"
#include "cuda/gemm/product_bf16.h"
#include "cuda/gemm/scratch_pieces.h"
#include "cuda/gemm/segmented_weight_gradient.h"
#include "cuda/graph/step.h"
#include "cuda/ops/linear_bf16.h"

namespace fl::cuda {

void segmentedLoraLinearBf16(const SegmentedLoraLinearOp& op) {
  const char* const name = "segmentedLoraLinear";
  const int64_t rows = op.x.rows(), in = op.x.cols(), out = op.W.rows();
  if (rows == 0) return;
  const Segments segments = segmentTable(op);
  const int64_t countW = WeightBf16::scratchCount(op.W, op.baseWeights, Layout::nt, op.x);
  const int64_t countB = castCount(segments.slots * out, segments.mostRank);
  const Device::Scratch scratch = Device::instance().scratch(Pieces::countOf({countW, countB}));
  Pieces pieces(scratch.data());
  const WeightBf16 W(name, op.W, op.baseWeights, Layout::nt, op.x, pieces.take(countW));
  zero({&op.u, 1});

  SegmentedLowRankBf16 u;
  u.segments = segments;
  u.whole.rows = rows;
  u.whole.depth = productSize(name, in);
  u.whole.x = op.x.as<float>();
  u.whole.mask = maskOf(op.dropout);
  u.whole.factor = op.A.as<float>();
  u.whole.out = op.u.as<float>();
  u.slotRows = out;
  u.B = op.B.as<float>();
  u.castB = pieces.takeHalves(countB);
  run(name, u);

  ProductBf16 y;
  y.rows = productSize(name, rows);
  y.cols = productSize(name, out);
  y.parts[0] = {op.x.as<float>(), nullptr, W.data(), u.whole.depth};
  y.parts[1] = {u.whole.out, nullptr, u.castB, 0};
  y.segments = segments;
  y.out = op.y.as<float>();
  y.bias = op.b.as<float>();
  y.residual = op.residual.as<float>();
  y.preActivation = op.preActivation.as<float>();
  y.activation = op.activation;
  run(name, Layout::nt, y, W.held());
}

void segmentedLoraLinearBackwardBf16(const SegmentedLoraLinearBackwardOp& op) {
  const char* const name = "segmentedLoraLinearBackward";
  const int64_t rows = op.x.rows(), in = op.x.cols(), out = op.dy.cols();
  const Segments segments = segmentTable(op);
  const bool withDx = op.dx.present();
  WeightGradient dA, dB;
  dA.rows = dB.rows = rows;
  dA.cols = in;
  dB.cols = out;
  dA.precision = dB.precision = Precision::bf16;
  const int64_t countV = rows * segments.mostRank;
  const int64_t countW = withDx ? WeightBf16::scratchCount(op.W, op.baseWeights, Layout::nn, op.dy) : 0;
  const int64_t countA = withDx ? castCount(op.A.rows(), in) : 0;
  const int64_t countPartials = std::max(segmentedPartialCount(dA, segments), segmentedPartialCount(dB, segments));
  const Device::Scratch scratch = Device::instance().scratch(Pieces::countOf({countV, countW, countA, countPartials}));
  Pieces pieces(scratch.data());

  SegmentedLowRankBf16 v;
  v.segments = segments;
  v.whole.rows = rows;
  v.whole.depth = productSize(name, out);
  v.whole.x = op.dy.as<float>();
  v.whole.factor = op.B.as<float>();
  v.whole.depthContiguous = false;
  v.whole.out = pieces.take(countV);
  float* const memoryOfW = pieces.take(countW);
  if (withDx) v.whole.casts.add(castOf(op.A, pieces.take(countA)));
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
    dx.parts[main] = {op.dy.as<float>(), nullptr, W.data(), v.whole.depth};
    dx.parts[1 - main] = {v.whole.out, nullptr, v.whole.casts.each[0].to, 0};
    dx.segments = segments;
    dx.out = op.dx.as<float>();
    setEpilogue(dx, op.epilogue);
    run(name, Layout::nn, dx, W.held());
  }

  if (op.dA.present()) {
    dA.p = v.whole.out;
    dA.q = op.x.as<float>();
    dA.mask = maskOf(op.dropout);
    dA.out = op.dA.as<float>();
    runSegmented(name, dA, segments, partials);
  }
  if (op.dB.present()) {
    dB.p = op.u.as<float>();
    dB.q = op.dy.as<float>();
    dB.transposed = true;
    dB.out = op.dB.as<float>();
    runSegmented(name, dB, segments, partials);
  }
}

}  // namespace fl::cuda
