// attention and its gradient with all of P in memory, query by query, sequence by sequence.
// Shapes, dropout and queries alone: ops/attention.h.
#include "ops/attention.h"

#include <algorithm>
#include <vector>

#include "reference/math.h"
#include "reference/ops.h"

namespace fl::reference {
namespace {

/// The sequence whose tokens hold `token`.
int64_t sequenceOf(const int32_t* starts, int64_t sequences, int64_t token) {
  return std::upper_bound(starts, starts + sequences + 1, token) - starts - 1;
}

int64_t tokenOf(const Tensor& queryRows, int64_t query) {
  return queryRows.present() ? queryRows.as<int32_t>()[query] : query;
}

}  // namespace

// P = softmax(scale q k^T);  y = (mask P) v
template <class T>
void attention(const OpCall& call) {
  const auto op = AttentionOp::bind(call);
  const int32_t* starts = op.cuSeqlens.as<int32_t>();
  const int64_t D = op.headDim;
  for (int64_t i = 0; i < op.q.rows(); i++) {
    const int64_t s = sequenceOf(starts, op.numSequences, tokenOf(op.queryRows, i));
    const int64_t start = starts[s], length = starts[s + 1] - start;
    for (int64_t h = 0; h < op.numHeads; h++) {
      std::vector<double> score(static_cast<size_t>(length));
      for (int64_t j = 0; j < length; j++)
        score[static_cast<size_t>(j)] = op.scale * dot(row<T>(op.q, i) + h * D, row<T>(op.k, start + j) + h * D, D);
      const double largest = *std::max_element(score.begin(), score.end());
      double denominator = 0;
      for (double value : score) denominator += std::exp(value - largest);
      const double logsumexp = largest + std::log(denominator);
      if (op.logsumexp.present()) row<T>(op.logsumexp, i)[h] = static_cast<T>(logsumexp);

      std::vector<double> y(static_cast<size_t>(D), 0.0);
      for (int64_t j = 0; j < length; j++) {
        const double P = std::exp(score[static_cast<size_t>(j)] - logsumexp);
        const double weight = maskAt(op.dropout, i, h * 65536 + j) * P;
        for (int64_t d = 0; d < D; d++) y[static_cast<size_t>(d)] += weight * row<T>(op.v, start + j)[h * D + d];
      }
      for (int64_t d = 0; d < D; d++) row<T>(op.y, i)[h * D + d] = static_cast<T>(y[static_cast<size_t>(d)]);
    }
  }
}

// dv = (m P)^T dy;  dP = m (dy v^T);  dS = P (dP - delta);  dq = scale dS k;  dk = scale dS^T q
template <class T>
void attentionBackward(const OpCall& call) {
  const auto op = AttentionBackwardOp::bind(call);
  const int32_t* starts = op.cuSeqlens.as<int32_t>();
  const int64_t D = op.headDim, hidden = op.q.cols();
  std::vector<double> dq(static_cast<size_t>(op.q.count()), 0.0);
  std::vector<double> dk(static_cast<size_t>(op.k.count()), 0.0), dv(dk);
  for (int64_t i = 0; i < op.q.rows(); i++) {
    const int64_t s = sequenceOf(starts, op.numSequences, tokenOf(op.queryRows, i));
    for (int64_t h = 0; h < op.numHeads; h++) {
      const T* q = row<T>(op.q, i) + h * D;
      const T* dy = row<T>(op.dy, i) + h * D;
      const double delta = dot(dy, row<T>(op.y, i) + h * D, D);
      const double logsumexp = row<T>(op.logsumexp, i)[h];
      for (int64_t j = 0; j < starts[s + 1] - starts[s]; j++) {
        const int64_t at = (starts[s] + j) * hidden + h * D;
        const T* k = op.k.as<T>() + at;
        const double P = std::exp(op.scale * dot(q, k, D) - logsumexp);
        const double mask = maskAt(op.dropout, i, h * 65536 + j);
        const double dP = mask * dot(dy, op.v.as<T>() + at, D);
        const double dS = P * (dP - delta);
        for (int64_t d = 0; d < D; d++) {
          dq[static_cast<size_t>(i * hidden + h * D + d)] += op.scale * dS * k[d];
          dk[static_cast<size_t>(at + d)] += op.scale * dS * q[d];
          dv[static_cast<size_t>(at + d)] += mask * P * dy[d];
        }
      }
    }
  }
  const auto write = [](const Tensor& to, const std::vector<double>& sums) {
    if (!to.present()) return;
    for (int64_t i = 0; i < to.count(); i++) to.as<T>()[i] = static_cast<T>(sums[static_cast<size_t>(i)]);
  };
  write(op.dq, dq);
  write(op.dk, dk);
  write(op.dv, dv);
}

FL_REFERENCE_OP(attention)
FL_REFERENCE_OP(attentionBackward)

}  // namespace fl::reference
