// Forward: u of all adapters in one launch, with the addLayerNorm before where there is one
// (norm_low_rank.h), all y in the next.
// Backward: v of all adapters in one, then every dx, dA and dB (grouped_bf16.h). Where a layer's dx
// goes on as the residual of the next one's and nowhere else, as it does from value to key to
// query, there is one dx:
//   dx = sum over layers (dy W + v A) + residual of the first
// What a group is, and why: linear_group.h.
#include "cuda/ops/linear_group.h"

#include <vector>

#include "cuda/gemm/cast_copies.cuh"
#include "cuda/gemm/cast_weights.h"
#include "cuda/gemm/grouped_bf16.h"
#include "cuda/gemm/low_rank_bf16.h"
#include "cuda/gemm/scratch_pieces.h"
#include "cuda/hopper/product_sm90a.h"
#include "cuda/ops.h"
#include "cuda/ops/norm_low_rank.h"
#include "ops/linear.h"
#include "ops/lora_linear.h"

namespace fl::cuda {
namespace {

constexpr size_t kMost = GroupBf16::kMost;
static_assert(LowRankGroup::kMost == GroupBf16::kMost);

bool isForward(OpKind op) { return op == OpKind::linear || op == OpKind::loraLinear; }
bool isBackward(OpKind op) { return op == OpKind::linearBackwardInput || op == OpKind::loraLinearBackward; }

/// bf16 with W in it, and no mask on an adapter's input.
bool fits(const Neighbour& n) {
  return (isForward(n.op) || isBackward(n.op)) && bindPrecision(n.op, *n.attributes) == Precision::bf16 &&
         bindBaseWeights(n.op, *n.attributes) == BaseWeights::fp32 &&
         (n.op == OpKind::linear || n.op == OpKind::linearBackwardInput ||
          attributeNumber(n.op, *n.attributes, "dropout") == 0);
}

/// Where a backward op has its operands.
struct Places {
  size_t W, preActivation, residual;
};
Places placesOf(OpKind op) { return op == OpKind::loraLinearBackward ? Places{3, 7, 8} : Places{1, 2, 3}; }

bool reads(const Neighbour& n, int value) {
  for (const int input : n.inputs)
    if (value >= 0 && input == value) return true;
  return false;
}

/// The layer of a group whose dx `next` takes on as its residual, nobody else reading it: both are
/// one product.
bool goesOn(const Neighbour& before, const Neighbour& next, std::span<const int> readers) {
  const int dx = before.output(0);
  const auto bare = [](const Neighbour& n) { return n.input(placesOf(n.op).preActivation) < 0; };
  return dx >= 0 && next.output(0) >= 0 && next.input(placesOf(next.op).residual) == dx &&
         readers[static_cast<size_t>(dx)] == 1 && bare(before) && bare(next);
}

struct Layer {
  Tensor dy, x, u, W, A, B, dx, dA, dB;
  GradientEpilogue epilogue;
  double scaling = 1;

  bool hasAdapter() const { return A.present(); }
  static Layer of(const OpCall& call) {
    Layer l;
    if (call.op == OpKind::loraLinearBackward) {
      const auto op = LoraLinearBackwardOp::bind(call);
      l = {op.dy, op.x, op.u, op.W, op.A, op.B, op.dx, op.dA, op.dB, op.epilogue, op.scaling};
    } else {
      const auto op = LinearBackwardInputOp::bind(call);
      l.dy = op.dy;
      l.W = op.W;
      l.dx = op.dx;
      l.epilogue = op.epilogue;
    }
    return l;
  }
};

/// @param norm the addLayerNorm whose result they read, where it is of the group.
void runForward(std::span<const OpCall> calls, const OpCall* norm) {
  const char* const name = "loraLinear";
  GroupBf16 group;
  LowRankGroup lowRank;
  int64_t count = 0;
  std::vector<LoraLinearOp> layers;
  for (const OpCall& call : calls) {
    if (call.op == OpKind::loraLinear) {
      layers.push_back(LoraLinearOp::bind(call));
    } else {
      const auto op = LinearOp::bind(call);
      LoraLinearOp plain{};
      plain.x = op.x;
      plain.W = op.W;
      plain.b = op.b;
      plain.residual = op.residual;
      plain.y = op.y;
      plain.preActivation = op.preActivation;
      plain.activation = op.activation;
      layers.push_back(plain);
    }
    const LoraLinearOp& l = layers.back();
    if (l.x.rows() == 0) return;
    count += Pieces::countOf({CastWeight::scratchCount(l.W), l.B.present() ? castCount(l.B.rows(), l.B.cols()) : 0});
  }
  const Device::Scratch scratch = Device::instance().scratch(count);
  Pieces pieces(scratch.data());
  std::vector<CastWeight> weights;
  for (const LoraLinearOp& l : layers) {
    const CastWeight& W = weights.emplace_back(name, l.W, pieces.take(CastWeight::scratchCount(l.W)));
    GroupBf16::Product& y = group.product[group.products++];
    y.rows = productSize(name, l.x.rows());
    y.cols = productSize(name, l.W.rows());
    y.parts[0] = {l.x.as<float>(), nullptr, W.data(), productSize(name, l.x.cols())};
    y.out = l.y.as<float>();
    y.bias = l.b.as<float>();
    y.residual = l.residual.as<float>();
    y.preActivation = l.preActivation.as<float>();
    y.activation = l.activation;
    if (!l.A.present()) continue;
    LowRankBf16& u = lowRank.each[lowRank.count++];
    u.rows = l.x.rows();
    u.depth = y.parts[0].depth;
    u.rank = static_cast<int>(l.A.rows());
    u.x = l.x.as<float>();
    u.factor = l.A.as<float>();
    u.scaling = static_cast<float>(l.scaling);
    u.out = l.u.as<float>();
    u.casts.add(castOf(l.B, pieces.take(castCount(l.B.rows(), l.B.cols()))));
    y.parts[1] = {u.out, nullptr, u.casts.each[0].to, u.rank};
  }
  if (norm)
    runNormLowRank(AddLayerNormOp::bind(*norm), lowRank);
  else
    run(name, lowRank);
  run(name, Layout::nt, group);
}

/// @param chained whether a layer's dx is the residual of the next one's alone.
void runBackward(std::span<const OpCall> calls, std::span<const bool> chained) {
  const char* const name = "loraLinearBackward";
  std::vector<Layer> layers;
  int64_t count = 0, countPartials = 0, mostRows = 0;
  for (const OpCall& call : calls) {
    const Layer& l = layers.emplace_back(Layer::of(call));
    if (l.dy.rows() == 0) return;
    mostRows = std::max(mostRows, l.dy.rows());
    if (l.dx.present()) count += Pieces::countOf({CastWeight::scratchCount(l.W)});
    if (!l.hasAdapter()) continue;
    count += Pieces::countOf({l.dy.rows() * l.A.rows(), l.dx.present() ? castCount(l.A.rows(), l.A.cols()) : 0});
    WeightGradient sum;
    sum.rows = l.dy.rows();
    sum.rank = l.A.rows();
    for (const int64_t cols : {l.A.cols(), l.B.rows()}) {
      sum.cols = cols;
      countPartials = std::max(countPartials, partialCount(sum));
    }
  }
  const Device::Scratch scratch = Device::instance().scratch(count + countPartials);
  Pieces pieces(scratch.data());

  GroupBf16 group;
  LowRankGroup lowRank;
  std::vector<CastWeight> weights;
  int part = 0;
  for (size_t i = 0; i < layers.size(); i++) {
    const Layer& l = layers[i];
    LowRankBf16* v = nullptr;
    if (l.hasAdapter()) {
      v = &lowRank.each[lowRank.count++];
      v->rows = l.dy.rows();
      v->depth = productSize(name, l.dy.cols());
      v->rank = static_cast<int>(l.A.rows());
      v->x = l.dy.as<float>();
      v->factor = l.B.as<float>();
      v->depthContiguous = false;
      v->scaling = static_cast<float>(l.scaling);
      v->out = pieces.take(l.dy.rows() * l.A.rows());

      WeightGradient& dA = group.gradient[group.gradients++];
      WeightGradient& dB = group.gradient[group.gradients++];
      dA.rows = dB.rows = l.dy.rows();
      dA.rank = dB.rank = l.A.rows();
      dA.cols = l.x.cols();
      dA.p = v->out;
      dA.q = l.x.as<float>();
      dA.out = l.dA.as<float>();
      dB.cols = l.dy.cols();
      dB.p = l.u.as<float>();
      dB.q = l.dy.as<float>();
      dB.transposed = true;
      dB.out = l.dB.as<float>();
      dA.precision = dB.precision = Precision::bf16;
    }
    if (!l.dx.present()) continue;
    const CastWeight& W = weights.emplace_back(name, l.W, pieces.take(CastWeight::scratchCount(l.W)));
    const bool begins = i == 0 || !chained[i - 1];
    if (begins) {
      group.products++;
      part = 0;
    }
    GroupBf16::Product& dx = group.product[group.products - 1];
    dx.rows = productSize(name, l.dy.rows());
    dx.cols = productSize(name, l.W.cols());
    dx.out = l.dx.as<float>();
    if (begins) setEpilogue(dx, l.epilogue);
    dx.parts[part++] = {l.dy.as<float>(), nullptr, W.data(), productSize(name, l.dy.cols())};
    if (v) {
      v->casts.add(castOf(l.A, pieces.take(castCount(l.A.rows(), l.A.cols()))));
      dx.parts[part++] = {v->out, nullptr, v->casts.each[0].to, v->rank};
    }
  }
  run(name, lowRank);
  if (mostRows <= kMostRowsAtOnce) return run(name, Layout::nn, group);
  GroupBf16 products = group;
  products.gradients = 0;
  run(name, Layout::nn, products);
  float* const partials = pieces.take(countPartials);
  for (int i = 0; i < group.gradients; i++) run(name, group.gradient[i], partials);
}

}  // namespace

namespace {

/// Of bf16 products, from the first on that read nothing of each other but in a chain.
size_t productsTogether(std::span<const Neighbour> next, std::span<const int> readers) {
  if (next.empty() || !fits(next[0])) return 0;
  size_t count = 1;
  for (; count < std::min(kMost, next.size()); count++) {
    const Neighbour& n = next[count];
    if (!fits(n) || isForward(n.op) != isForward(next[0].op)) break;
    bool apart = false;
    for (size_t i = 0; i < count; i++)
      for (const int value : next[i].outputs) {
        const bool chain =
            i + 1 == count && isBackward(n.op) && value == next[i].output(0) && goesOn(next[i], n, readers);
        apart = apart || (reads(n, value) && !chain);
      }
    if (apart) break;
  }
  return count;
}

/// The layers behind an addLayerNorm of which it can make every u.
size_t productsOfNorm(std::span<const Neighbour> next, std::span<const int> readers) {
  const std::span<const Neighbour> layers = next.subspan(1);
  size_t count = productsTogether(layers, readers), adapters = 0;
  for (size_t i = 0; i < count; i++) {
    if (!isForward(layers[i].op)) return 0;
    const bool ofNorm = layers[i].input(0) == next[0].output(0);
    const bool adapter = layers[i].op == OpKind::loraLinear;
    // Whatever else reads the result waits for the launch to end: as a residual it may be read.
    if (adapter && !ofNorm) {
      count = i;
      break;
    }
    adapters += adapter ? 1 : 0;
  }
  return adapters > 0 ? count : 0;
}

}  // namespace

int linearGroup(std::span<const Neighbour> next, std::span<const int> readers) {
  if (next.empty() || hopper::wanted()) return 0;
  if (next[0].op == OpKind::addLayerNorm) {
    const size_t layers = productsOfNorm(next, readers);
    return layers > 0 ? static_cast<int>(layers + 1) : 0;
  }
  const size_t count = productsTogether(next, readers);
  return count > 1 ? static_cast<int>(count) : 0;
}

void runLinearGroup(std::span<const OpCall> calls) {
  if (calls[0].op == OpKind::addLayerNorm) {
    const auto layers = calls.subspan(1);
    if (calls[0].inputs[0].cols() <= kMostNormCols) return runForward(layers, &calls[0]);
    addLayerNorm(calls[0]);
    return runForward(layers, nullptr);
  }
  if (isForward(calls[0].op)) return runForward(calls, nullptr);
  bool chained[kMost] = {};
  for (size_t i = 0; i + 1 < calls.size(); i++) {
    const Tensor& dx = calls[i].outputs[0];
    const size_t residual = placesOf(calls[i + 1].op).residual;
    chained[i] = dx.present() && static_cast<int>(residual) < calls[i + 1].numInputs &&
                 calls[i + 1].inputs[residual].data == dx.data;
  }
  runBackward(calls, chained);
}

void runLoraBackward(const OpCall& call) {
  const bool chained[1] = {false};
  runBackward({&call, 1}, chained);
}

}  // namespace fl::cuda
