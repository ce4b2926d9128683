// crossEntropy, mse, bceWithLogits and their gradients; the formulas are in ops/loss.h. Losses and
// sums of weights are summed in double, in a fixed order; nothing of a row is stored between
// forward and backward.
#include "ops/loss.h"

#include "cuda/ops.h"
#include "cuda/ops/double_sums.cuh"
#include "cuda/ops/elements.cuh"
#include "cuda/ops/rows.cuh"

namespace fl::cuda {
namespace {

struct CrossEntropy {
  const float* logits;
  const int32_t* labels;
  const float* classWeights;  // [C]?
  int64_t rows, classes, ignoreIndex;
  double smoothing;

  __device__ double weight(int64_t c) const { return classWeights ? static_cast<double>(classWeights[c]) : 1.0; }
  /// The row's share of D: 0 for a row that is ignored.
  __device__ double rowWeight(int64_t row) const {
    const int64_t label = labels[row];
    return label == ignoreIndex ? 0.0 : weight(label);
  }
};

CrossEntropy argumentsOf(const CrossEntropyOp& op) {
  return {op.logits.as<float>(), op.labels.as<int32_t>(), op.classWeights.as<float>(),
          op.logits.rows(),      op.logits.cols(),        op.ignoreIndex,
          op.labelSmoothing};
}

/// Of a row z: its largest entry, sum_c exp(z_c - largest), sum_c w_c, sum_c w_c (z_c - largest).
struct RowSums {
  float largest;
  double exps, weights, weighted;
};

template <class Team>
__device__ RowSums sumsOf(const CrossEntropy& c, int64_t row) {
  const float* const z = c.logits + row * c.classes;
  RowSums s{};
  s.largest = -INFINITY;
  for (int64_t i = Team::member(); i < c.classes; i += Team::kThreads) s.largest = fmaxf(s.largest, z[i]);
  s.largest = Team::maximum(s.largest);
  for (int64_t i = Team::member(); i < c.classes; i += Team::kThreads)
    s.exps += static_cast<double>(expf(z[i] - s.largest));
  s.exps = Team::sum(s.exps);
  if (c.smoothing == 0) return s;
  for (int64_t i = Team::member(); i < c.classes; i += Team::kThreads) {
    s.weights += c.weight(i);
    s.weighted += c.weight(i) * (static_cast<double>(z[i]) - s.largest);
  }
  s.weights = Team::sum(s.weights);
  s.weighted = Team::sum(s.weighted);
  return s;
}

struct RowLosses {
  CrossEntropy c;
  double* losses;  // [rows]
};

/// l_i, with -logp[c] = log sum exp(z - largest) - (z_c - largest).
template <class Team>
struct RowLoss {
  __device__ static void run(const RowLosses& l, int64_t row) {
    const CrossEntropy& c = l.c;
    const int64_t label = c.labels[row];
    if (label == c.ignoreIndex) {  // for the whole team
      if (Team::member() == 0) l.losses[row] = 0;
      return;
    }
    const RowSums s = sumsOf<Team>(c, row);
    if (Team::member() != 0) return;
    const double logSum = log(s.exps);
    const double atLabel = logSum - (static_cast<double>(c.logits[row * c.classes + label]) - s.largest);
    double loss = (1 - c.smoothing) * c.weight(label) * atLabel;
    if (c.smoothing > 0) loss += c.smoothing / static_cast<double>(c.classes) * (s.weights * logSum - s.weighted);
    l.losses[row] = loss;
  }
};

/// D, in every thread of the block.
__device__ double totalWeight(const CrossEntropy& c) {
  return sumTerms([&](int64_t row) { return c.rowWeight(row); }, 0, c.rows);
}

__device__ void storeLoss(const RowLosses& l, float* loss) {
  const double sum = sumTerms([&](int64_t row) { return l.losses[row]; }, 0, l.c.rows);
  const double total = totalWeight(l.c);
  if (threadIdx.x == 0) *loss = static_cast<float>(total > 0 ? sum / total : 0.0);
}

/// One block.
__global__ void __launch_bounds__(SumTeam::kThreads) finishLoss(const RowLosses l, float* loss) { storeLoss(l, loss); }

/// One block.
__global__ void __launch_bounds__(SumTeam::kThreads) storeTotalWeight(const CrossEntropy c, double* out) {
  const double total = totalWeight(c);
  if (threadIdx.x == 0) *out = total;
}

struct RowGradients {
  CrossEntropy c;
  const double* total;  // D
  StepScale lossScale;
  float* out;
};

/// With p = softmax(z), f = lossScale / D and e the smoothing:
///   dz_c = f ((1 - e) w_label + e / C sum w) p_c - f e / C w_c,
///          less f (1 - e) w_label at the label
template <class Team>
struct RowGradient {
  __device__ static void run(const RowGradients& g, int64_t row) {
    const CrossEntropy& c = g.c;
    const int64_t label = c.labels[row];
    float* const out = g.out + row * c.classes;
    const double total = *g.total;
    if (label == c.ignoreIndex || total == 0) {
      for (int64_t i = Team::member(); i < c.classes; i += Team::kThreads) out[i] = 0;
      return;
    }
    const RowSums s = sumsOf<Team>(c, row);
    const float* const z = c.logits + row * c.classes;
    const double scale = g.lossScale.value();
    const double onLabel = scale / total * (1 - c.smoothing) * c.weight(label);
    const double onEach = scale / total * c.smoothing / static_cast<double>(c.classes);
    const double onP = onLabel + onEach * s.weights;
    const auto factor = static_cast<float>(onP / s.exps);
    for (int64_t i = Team::member(); i < c.classes; i += Team::kThreads) {
      const float gradient = factor * expf(z[i] - s.largest) - static_cast<float>(onEach * c.weight(i));
      // In double at the label: p - 1 keeps its digits where p is near 1.
      const double p = i == label ? exp(static_cast<double>(z[i]) - s.largest) / s.exps : 0.0;
      out[i] = i == label ? static_cast<float>(onP * p - onEach * c.weight(i) - onLabel) : gradient;
    }
  }
};

/// Rows and classes up to which one block does all of a loss.
constexpr int64_t kMostRowsOfOneBlock = 512, kMostClassesOfOneBlock = 64;
bool fitsOneBlock(const CrossEntropy& c) {
  return c.rows <= kMostRowsOfOneBlock && c.classes <= kMostClassesOfOneBlock;
}

/// One block: a row a warp, in turns; then their sum.
__global__ void __launch_bounds__(SumTeam::kThreads, 1) smallLoss(const RowLosses l, float* loss) {
  for (int64_t row = threadIdx.x / 32; row < l.c.rows; row += SumTeam::kThreads / 32)
    RowLoss<RowTeam<1, false>>::run(l, row);
  __syncthreads();
  storeLoss(l, loss);
}

/// One block: D, then a row a warp, in turns.
__global__ void __launch_bounds__(SumTeam::kThreads, 1) smallGradient(RowGradients g) {
  __shared__ double total;
  const double sum = totalWeight(g.c);
  if (threadIdx.x == 0) total = sum;
  __syncthreads();
  g.total = &total;
  for (int64_t row = threadIdx.x / 32; row < g.c.rows; row += SumTeam::kThreads / 32)
    RowGradient<RowTeam<1, false>>::run(g, row);
}

struct SquaredDifference {
  const float *x, *target;
  __device__ double operator()(int64_t i) const {
    const double difference = static_cast<double>(x[i]) - target[i];
    return difference * difference;
  }
};

struct DifferenceGradient {
  const float *x, *target;
  StepScale factor;
  float* dx;
  __device__ void operator()(int64_t i) const { dx[i] = static_cast<float>(factor.value()) * (x[i] - target[i]); }
};

/// max(x, 0) - x t + log(1 + exp(-|x|))
struct BinaryLoss {
  const float *x, *target;
  __device__ double operator()(int64_t i) const {
    const double z = x[i];
    return (z > 0 ? z : 0) - z * target[i] + log1p(exp(-fabs(z)));
  }
};

/// f (p - t), p = 1 / (1 + exp(-x)); in double, for p - t near 0 keeps its digits there.
struct BinaryGradient {
  const float *x, *target;
  StepScale factor;
  float* dx;
  __device__ void operator()(int64_t i) const {
    dx[i] = static_cast<float>(factor.value() * (1 / (1 + exp(-static_cast<double>(x[i]))) - target[i]));
  }
};

}  // namespace

void crossEntropy(const OpCall& call) {
  const auto op = CrossEntropyOp::bind(call);
  const char* const name = "crossEntropy";
  const Device::Scratch scratch = Device::instance().scratch(2 * op.logits.rows());
  const RowLosses l{argumentsOf(op), reinterpret_cast<double*>(scratch.data())};
  if (fitsOneBlock(l.c)) return launch(name, smallLoss, dim3(1), SumTeam::kThreads, l, op.out.as<float>());
  forRows<RowLoss>(name, l.c.rows, l.c.classes, l);
  launch(name, finishLoss, dim3(1), SumTeam::kThreads, l, op.out.as<float>());
}

void crossEntropyBackward(const OpCall& call) {
  const auto op = CrossEntropyOp::bind(call);
  const char* const name = "crossEntropyBackward";
  const CrossEntropy c = argumentsOf(op);
  if (fitsOneBlock(c))
    return launch(name, smallGradient, dim3(1), SumTeam::kThreads,
                  RowGradients{c, nullptr, StepScale::of(call.step, 1), op.out.as<float>()});
  const Device::Scratch scratch = Device::instance().scratch(2);
  auto* const total = reinterpret_cast<double*>(scratch.data());
  launch(name, storeTotalWeight, dim3(1), SumTeam::kThreads, c, total);
  forRows<RowGradient>(name, c.rows, c.classes,
                       RowGradients{c, total, StepScale::of(call.step, 1), op.out.as<float>()});
}

void mse(const OpCall& call) {
  const auto op = MseOp::bind(call);
  sumInDouble("mse", SquaredDifference{op.x.as<float>(), op.target.as<float>()}, op.x.count(),
              1.0 / static_cast<double>(op.x.count()), op.out.as<float>());
}

void mseBackward(const OpCall& call) {
  const auto op = MseOp::bind(call);
  const StepScale factor = StepScale::of(call.step, 2 / static_cast<double>(op.x.count()));
  forElements("mseBackward", op.x.count(),
              DifferenceGradient{op.x.as<float>(), op.target.as<float>(), factor, op.out.as<float>()});
}

void bceWithLogits(const OpCall& call) {
  const auto op = BceWithLogitsOp::bind(call);
  const int64_t count = op.logits.count();
  sumInDouble("bceWithLogits", BinaryLoss{op.logits.as<float>(), op.target.as<float>()}, count,
              count > 0 ? 1.0 / static_cast<double>(count) : 0.0, op.out.as<float>());
}

void bceWithLogitsBackward(const OpCall& call) {
  const auto op = BceWithLogitsOp::bind(call);
  const StepScale factor = StepScale::of(call.step, 1 / static_cast<double>(op.logits.count()));
  forElements("bceWithLogitsBackward", op.logits.count(),
              BinaryGradient{op.logits.as<float>(), op.target.as<float>(), factor, op.out.as<float>()});
}

}  // namespace fl::cuda
