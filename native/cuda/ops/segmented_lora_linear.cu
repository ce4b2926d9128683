// segmentedLoraLinear and its gradients in fp32, in the steps of lora_linear.cu: every kernel finds
// its segment and the adapter in the tables on the device (cuda/gemm/segments.cuh), so that a
// recorded step serves all mixes of adapters. bf16: segmented_lora_linear_bf16.cu.
#include "ops/segmented_lora_linear.h"

#include "cuda/device/launch.h"
#include "cuda/gemm/held_weights.h"
#include "cuda/gemm/low_rank_f32.cuh"
#include "cuda/gemm/product_f32.h"
#include "cuda/gemm/scratch_pieces.h"
#include "cuda/gemm/segmented_weight_gradient.h"
#include "cuda/graph/step.h"
#include "cuda/ops.h"
#include "cuda/ops/linear_bf16.h"

namespace fl::cuda {
namespace {

/// The low-rank product of each segment: x and out of all rows; factor has a block of mostRank *
/// depth for each slot. Grid: tiles of rows, mostRank / kRanks.
template <bool depthContiguous>
__global__ void __launch_bounds__(LowRankProduct::kThreads)
    segmentedLowRank(const LowRankProduct whole, const Segments segments) {
  const SegmentTile s = segmentTile(segments, blockIdx.x, LowRankProduct::kBlockRows);
  const int64_t firstRank = blockIdx.y * int64_t{LowRankProduct::kRanks};
  if (!s.found || firstRank >= s.rank) return;
  LowRankProduct p = whole;
  p.rows = s.end - s.first;
  p.rank = s.rank;
  p.x += s.first * p.depth;
  if (p.mask.active) p.mask.tokenIndex += s.first;
  p.factor += s.slot * segments.mostRank * p.depth;
  p.scaling = s.scaling;
  p.out += s.first * segments.mostRank;
  lowRankRows<depthContiguous>(p, s.row - s.first, firstRank);
}

template <bool depthContiguous>
void run(const char* op, const LowRankProduct& p, const Segments& segments) {
  if (p.rows == 0) return;
  const dim3 grid(blocks(op, segments.mostTiles(LowRankProduct::kBlockRows)),
                  blocksDown(op, ceilDivide(segments.mostRank, LowRankProduct::kRanks)));
  launch(op, segmentedLowRank<depthContiguous>, grid, LowRankProduct::kThreads, p, segments);
}

}  // namespace

void segmentedLoraLinear(const OpCall& call) {
  const auto op = SegmentedLoraLinearOp::bind(call);
  const char* const name = "segmentedLoraLinear";
  if (op.precision == Precision::bf16) return segmentedLoraLinearBf16(op);
  const Segments segments = segmentTable(op);
  const Device::Scratch scratch =
      Device::instance().scratch(HeldWeight::scratchCount(op.W, op.baseWeights, Layout::nt, op.x));
  const HeldWeight W(name, op.W, op.baseWeights, Layout::nt, op.x, scratch.data());
  zero({&op.u, 1});

  LowRankProduct u;
  u.rows = op.x.rows();
  u.depth = op.x.cols();
  u.x = op.x.as<float>();
  u.mask = maskOf(op.dropout);
  u.factor = op.A.as<float>();
  u.out = op.u.as<float>();
  run<true>(name, u, segments);

  Product y;
  y.rows = op.x.rows();
  y.cols = op.W.rows();
  y.main = {op.x.as<float>(), op.W.as<float>(), op.x.cols()};
  y.update = {op.u.as<float>(), op.B.as<float>(), 0};
  y.segments = segments;
  y.out = op.y.as<float>();
  y.bias = op.b.as<float>();
  y.residual = op.residual.as<float>();
  y.preActivation = op.preActivation.as<float>();
  y.activation = op.activation;
  run(name, Layout::nt, y, W);
}

void segmentedLoraLinearBackward(const OpCall& call) {
  const auto op = SegmentedLoraLinearBackwardOp::bind(call);
  const int64_t rows = op.x.rows(), in = op.x.cols(), out = op.dy.cols();
  const char* const name = "segmentedLoraLinearBackward";
  if (rows == 0) return;
  if (op.precision == Precision::bf16) return segmentedLoraLinearBackwardBf16(op);
  const Segments segments = segmentTable(op);

  WeightGradient dA, dB;
  dA.rows = dB.rows = rows;
  dA.cols = in;
  dB.cols = out;
  const int64_t countV = rows * segments.mostRank;
  const int64_t countPartials = std::max(segmentedPartialCount(dA, segments), segmentedPartialCount(dB, segments));
  const int64_t countW =
      op.dx.present() ? HeldWeight::scratchCount(op.W, op.baseWeights, Layout::nn, op.dy) : int64_t{0};
  const Device::Scratch scratch = Device::instance().scratch(Pieces::countOf({countW, countV, countPartials}));
  Pieces pieces(scratch.data());
  float* const heldW = pieces.take(countW);

  LowRankProduct v;
  v.rows = rows;
  v.depth = out;
  v.x = op.dy.as<float>();
  v.factor = op.B.as<float>();
  v.out = pieces.take(countV);
  run<false>(name, v, segments);
  float* const partials = pieces.take(countPartials);

  if (op.dx.present()) {
    const HeldWeight W(name, op.W, op.baseWeights, Layout::nn, op.dy, heldW);
    Product dx;
    dx.rows = rows;
    dx.cols = in;
    dx.main = {op.dy.as<float>(), op.W.as<float>(), out};
    dx.update = {v.out, op.A.as<float>(), 0};
    dx.segments = segments;
    dx.out = op.dx.as<float>();
    dx.mask = maskOf(op.dropout);
    setEpilogue(dx, op.epilogue);
    run(name, Layout::nn, dx, W);
  }

  if (op.dA.present()) {
    dA.p = v.out;
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
