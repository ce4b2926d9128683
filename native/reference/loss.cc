// The losses and their gradients by the sums of ops/loss.h, logits as log-softmax in double.
// Accuracy of the other backends is measured by these.
#include "ops/loss.h"

#include <algorithm>
#include <vector>

#include "reference/math.h"
#include "reference/ops.h"

namespace fl::reference {
namespace {

/// w[c]: 1 without class weights.
template <class T>
double classWeight(const CrossEntropyOp& op, int64_t c) {
  return op.classWeights.present() ? op.classWeights.as<T>()[c] : 1;
}

/// D = sum of w[label] over the rows that count.
template <class T>
double totalWeight(const CrossEntropyOp& op) {
  double total = 0;
  for (int64_t r = 0; r < op.logits.rows(); r++) {
    const int32_t label = op.labels.as<int32_t>()[r];
    if (label != op.ignoreIndex) total += classWeight<T>(op, label);
  }
  return total;
}

/// logp[c] = logits[c] - log sum exp(logits), of row r.
template <class T>
std::vector<double> logSoftmax(const CrossEntropyOp& op, int64_t r) {
  const T* logits = row<T>(op.logits, r);
  std::vector<double> logp(logits, logits + op.logits.cols());
  const double largest = *std::max_element(logp.begin(), logp.end());
  double denominator = 0;
  for (double value : logp) denominator += std::exp(value - largest);
  for (double& value : logp) value -= largest + std::log(denominator);
  return logp;
}

}  // namespace

// l_i = (1 - e) w[label] (-logp[label]) + e / C sum_c w[c] (-logp[c]);  loss = sum_i l_i / D
template <class T>
void crossEntropy(const OpCall& call) {
  const auto op = CrossEntropyOp::bind(call);
  const int64_t classes = op.logits.cols();
  const double e = op.labelSmoothing, total = totalWeight<T>(op);
  double sum = 0;
  for (int64_t r = 0; r < op.logits.rows(); r++) {
    const int32_t label = op.labels.as<int32_t>()[r];
    if (label == op.ignoreIndex) continue;
    const std::vector<double> logp = logSoftmax<T>(op, r);
    sum -= (1 - e) * classWeight<T>(op, label) * logp[static_cast<size_t>(label)];
    for (int64_t c = 0; c < classes; c++)
      sum -= e / static_cast<double>(classes) * classWeight<T>(op, c) * logp[static_cast<size_t>(c)];
  }
  op.out.as<T>()[0] = static_cast<T>(total > 0 ? sum / total : 0);
}

// d l_i / d logits[k] = (1 - e) w[label] (p[k] - [k = label]) + e / C (p[k] sum_c w[c] - w[k])
template <class T>
void crossEntropyBackward(const OpCall& call) {
  const auto op = CrossEntropyOp::bind(call);
  const int64_t classes = op.logits.cols();
  const double e = op.labelSmoothing, total = totalWeight<T>(op);
  double sumOfWeights = 0;
  for (int64_t c = 0; c < classes; c++) sumOfWeights += classWeight<T>(op, c);
  for (int64_t r = 0; r < op.logits.rows(); r++) {
    T* dlogits = row<T>(op.out, r);
    const int32_t label = op.labels.as<int32_t>()[r];
    if (label == op.ignoreIndex || total == 0) {
      std::fill(dlogits, dlogits + classes, T{0});
      continue;
    }
    const std::vector<double> logp = logSoftmax<T>(op, r);
    for (int64_t k = 0; k < classes; k++) {
      const double p = std::exp(logp[static_cast<size_t>(k)]);
      const double hard = classWeight<T>(op, label) * (p - (k == label ? 1 : 0));
      const double smooth = (p * sumOfWeights - classWeight<T>(op, k)) / static_cast<double>(classes);
      dlogits[k] = static_cast<T>(call.step.lossScale / total * ((1 - e) * hard + e * smooth));
    }
  }
}

// loss = mean((x - target)^2)
template <class T>
void mse(const OpCall& call) {
  const auto op = MseOp::bind(call);
  double sum = 0;
  for (int64_t i = 0; i < op.x.count(); i++) {
    const double difference = static_cast<double>(op.x.as<T>()[i]) - op.target.as<T>()[i];
    sum += difference * difference;
  }
  op.out.as<T>()[0] = static_cast<T>(sum / static_cast<double>(op.x.count()));
}

// dx = lossScale 2 (x - target) / (R C)
template <class T>
void mseBackward(const OpCall& call) {
  const auto op = MseOp::bind(call);
  const double factor = call.step.lossScale * 2 / static_cast<double>(op.x.count());
  for (int64_t i = 0; i < op.x.count(); i++)
    op.out.as<T>()[i] = static_cast<T>(factor * (static_cast<double>(op.x.as<T>()[i]) - op.target.as<T>()[i]));
}

// loss = mean(max(x, 0) - x t + log(1 + exp(-|x|)))
template <class T>
void bceWithLogits(const OpCall& call) {
  const auto op = BceWithLogitsOp::bind(call);
  double sum = 0;
  for (int64_t i = 0; i < op.logits.count(); i++) {
    const double x = op.logits.as<T>()[i], t = op.target.as<T>()[i];
    sum += std::max(x, 0.0) - x * t + std::log1p(std::exp(-std::fabs(x)));
  }
  op.out.as<T>()[0] = static_cast<T>(op.logits.count() > 0 ? sum / static_cast<double>(op.logits.count()) : 0);
}

// dlogits = lossScale (p - t) / (R C), p = 1 / (1 + exp(-x))
template <class T>
void bceWithLogitsBackward(const OpCall& call) {
  const auto op = BceWithLogitsOp::bind(call);
  const double factor = call.step.lossScale / static_cast<double>(op.logits.count());
  for (int64_t i = 0; i < op.logits.count(); i++) {
    const double p = 1 / (1 + std::exp(-static_cast<double>(op.logits.as<T>()[i])));
    op.out.as<T>()[i] = static_cast<T>(factor * (p - op.target.as<T>()[i]));
  }
}

FL_REFERENCE_OP(bceWithLogits)
FL_REFERENCE_OP(bceWithLogitsBackward)
FL_REFERENCE_OP(crossEntropy)
FL_REFERENCE_OP(crossEntropyBackward)
FL_REFERENCE_OP(mse)
FL_REFERENCE_OP(mseBackward)

}  // namespace fl::reference
