// The losses on the CPU (cross entropy, MSE, BCE with logits) and their gradients; sums over rows
// in double. Formulas and reduction: ops/loss.h.
#include "ops/loss.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu/ops.h"
#include "cpu/rows/rows.h"

namespace fl::cpu {
namespace {

float weightOf(const CrossEntropyOp& op, int64_t label) {
  return op.classWeights.present() ? op.classWeights.as<float>()[label] : 1.0f;
}

bool counts(const CrossEntropyOp& op, int64_t row) { return op.labels.as<int32_t>()[row] != op.ignoreIndex; }

/// D = sum_i w[label_i].
double totalWeight(const CrossEntropyOp& op) {
  double total = 0;
  for (int64_t row = 0; row < op.logits.rows(); row++)
    if (counts(op, row)) total += weightOf(op, op.labels.as<int32_t>()[row]);
  return total;
}

double sumOfWeights(const CrossEntropyOp& op) {
  const int64_t classes = op.logits.cols();
  if (!op.classWeights.present()) return static_cast<double>(classes);
  double sum = 0;
  for (int64_t c = 0; c < classes; c++) sum += op.classWeights.as<float>()[c];
  return sum;
}

/// l_i of a row, with -logp[c] = log sum exp(z - max) - (z_c - max).
double rowLoss(const CrossEntropyOp& op, int64_t row, double weights) {
  const int64_t classes = op.logits.cols(), label = op.labels.as<int32_t>()[row];
  const float* z = rowOf(op.logits, row);
  const float largest = rowKernels().maximum(z, classes);
  const double logSum = std::log(rowKernels().sumExp(z, largest, classes));
  const auto minusLogP = [&](int64_t c) { return logSum - (static_cast<double>(z[c]) - largest); };
  double loss = (1 - op.labelSmoothing) * weightOf(op, label) * minusLogP(label);
  if (op.labelSmoothing > 0) {
    double weighted = 0;
    for (int64_t c = 0; c < classes; c++) weighted += weightOf(op, c) * (static_cast<double>(z[c]) - largest);
    loss += op.labelSmoothing / static_cast<double>(classes) * (weights * logSum - weighted);
  }
  return loss;
}

/// With p = softmax(z): dz_c = f ((1 - e) w_l + e / C sum w) p_c - f e / C w_c, less f (1 - e) w_l
/// at the label; f = lossScale / D.
void rowGradient(const CrossEntropyOp& op, int64_t row, double weights, double factor) {
  const int64_t classes = op.logits.cols(), label = op.labels.as<int32_t>()[row];
  const float* z = rowOf(op.logits, row);
  float* dz = mutableRow(op.out, row);
  const float largest = rowKernels().maximum(z, classes);
  const double sum = rowKernels().sumExp(z, largest, classes);
  const double onLabel = factor * (1 - op.labelSmoothing) * weightOf(op, label);
  const double onEach = factor * op.labelSmoothing / static_cast<double>(classes);
  // In double, for p - 1 near 0 keeps its digits there.
  const double atLabel = (onLabel + onEach * weights) * (std::exp(static_cast<double>(z[label]) - largest) / sum) -
                         onEach * weightOf(op, label) - onLabel;
  rowKernels().expScaleAdd(z, largest, static_cast<float>((onLabel + onEach * weights) / sum),
                           static_cast<float>(-onEach),
                           op.classWeights.present() ? op.classWeights.as<float>() : nullptr, dz, classes);
  dz[label] = static_cast<float>(atLabel);
}

}  // namespace

void crossEntropy(const OpCall& call) {
  const auto op = CrossEntropyOp::bind(call);
  const double total = totalWeight(op), weights = sumOfWeights(op);
  std::vector<double> losses(static_cast<size_t>(op.logits.rows()));
  forRows(op.logits.rows(), op.logits.cols(), [&](int64_t row) {
    if (counts(op, row)) losses[static_cast<size_t>(row)] = rowLoss(op, row, weights);
  });
  double sum = 0;
  for (const double loss : losses) sum += loss;
  *op.out.as<float>() = static_cast<float>(total > 0 ? sum / total : 0);
}

void crossEntropyBackward(const OpCall& call) {
  const auto op = CrossEntropyOp::bind(call);
  const double total = totalWeight(op), weights = sumOfWeights(op);
  forRows(op.logits.rows(), op.logits.cols(), [&](int64_t row) {
    if (counts(op, row) && total > 0)
      rowGradient(op, row, weights, call.step.lossScale / total);
    else
      std::fill(mutableRow(op.out, row), mutableRow(op.out, row) + op.logits.cols(), 0.0f);
  });
}

void mse(const OpCall& call) {
  const auto op = MseOp::bind(call);
  std::vector<double> sums(static_cast<size_t>(op.x.rows()));
  forRows(op.x.rows(), op.x.cols(), [&](int64_t row) {
    const float *x = rowOf(op.x, row), *target = rowOf(op.target, row);
    double sum = 0;
    for (int64_t c = 0; c < op.x.cols(); c++) {
      const double difference = static_cast<double>(x[c]) - target[c];
      sum += difference * difference;
    }
    sums[static_cast<size_t>(row)] = sum;
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  *op.out.as<float>() = static_cast<float>(total / static_cast<double>(op.x.count()));
}

void mseBackward(const OpCall& call) {
  const auto op = MseOp::bind(call);
  const float *x = op.x.as<float>(), *target = op.target.as<float>();
  float* dx = op.out.as<float>();
  const auto factor = static_cast<float>(call.step.lossScale * 2 / static_cast<double>(op.x.count()));
  forElements(op.x.count(), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) dx[i] = factor * (x[i] - target[i]);
  });
}

void bceWithLogits(const OpCall& call) {
  const auto op = BceWithLogitsOp::bind(call);
  std::vector<double> sums(static_cast<size_t>(op.logits.rows()));
  forRows(op.logits.rows(), op.logits.cols(), [&](int64_t row) {
    const float *z = rowOf(op.logits, row), *target = rowOf(op.target, row);
    double sum = 0;
    for (int64_t c = 0; c < op.logits.cols(); c++) {
      const double x = z[c];
      sum += std::max(x, 0.0) - x * target[c] + std::log1p(std::exp(-std::fabs(x)));
    }
    sums[static_cast<size_t>(row)] = sum;
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  *op.out.as<float>() = static_cast<float>(op.logits.count() > 0 ? total / static_cast<double>(op.logits.count()) : 0);
}

void bceWithLogitsBackward(const OpCall& call) {
  const auto op = BceWithLogitsOp::bind(call);
  const float *x = op.logits.as<float>(), *target = op.target.as<float>();
  float* dx = op.out.as<float>();
  const double factor = call.step.lossScale / static_cast<double>(op.logits.count());
  // In double, for p - t near 0 keeps its digits there.
  forElements(op.logits.count(), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++)
      dx[i] = static_cast<float>(factor * (1 / (1 + std::exp(-static_cast<double>(x[i]))) - target[i]));
  });
}

}  // namespace fl::cpu
