#include "ops/attention.h"

#include <algorithm>
#include <vector>

#include "reference/math.h"
#include "reference/ops.h"

namespace fl::reference {
namespace {

/// The mask of P[i, j] in a sequence that starts at row `start`, times 1 / (1 - p).
double attentionMask(const DropoutSpec& dropout, int64_t start, int64_t i, int64_t head, int64_t j) {
  return maskAt(dropout, start + i, head * 65536 + j);
}

}  // namespace

// P = softmax(scale q k^T);  y = (mask P) v
template <class T>
void attention(const OpCall& call) {
  const auto op = AttentionOp::bind(call);
  const int32_t* starts = op.cuSeqlens.as<int32_t>();
  const int64_t D = op.headDim;
  for (int64_t s = 0; s < op.numSequences; s++) {
    const int64_t start = starts[s], length = starts[s + 1] - start;
    for (int64_t h = 0; h < op.numHeads; h++) {
      for (int64_t i = 0; i < length; i++) {
        std::vector<double> score(static_cast<size_t>(length));
        for (int64_t j = 0; j < length; j++)
          score[static_cast<size_t>(j)] =
              op.scale * dot(row<T>(op.q, start + i) + h * D, row<T>(op.k, start + j) + h * D, D);
        const double largest = *std::max_element(score.begin(), score.end());
        double denominator = 0;
        for (double value : score) denominator += std::exp(value - largest);
        const double logsumexp = largest + std::log(denominator);
        if (op.logsumexp.present()) row<T>(op.logsumexp, start + i)[h] = static_cast<T>(logsumexp);

        std::vector<double> y(static_cast<size_t>(D), 0.0);
        for (int64_t j = 0; j < length; j++) {
          const double P = std::exp(score[static_cast<size_t>(j)] - logsumexp);
          const double weight = attentionMask(op.dropout, start, i, h, j) * P;
          for (int64_t d = 0; d < D; d++) y[static_cast<size_t>(d)] += weight * row<T>(op.v, start + j)[h * D + d];
        }
        for (int64_t d = 0; d < D; d++) row<T>(op.y, start + i)[h * D + d] = static_cast<T>(y[static_cast<size_t>(d)]);
      }
    }
  }
}

// dv = (m P)^T dy;  dP = m (dy v^T);  dS = P (dP - delta);  dq = scale dS k;  dk = scale dS^T q
template <class T>
void attentionBackward(const OpCall& call) {
  const auto op = AttentionBackwardOp::bind(call);
  const int32_t* starts = op.cuSeqlens.as<int32_t>();
  const int64_t D = op.headDim;
  for (int64_t s = 0; s < op.numSequences; s++) {
    const int64_t start = starts[s], length = starts[s + 1] - start;
    for (int64_t h = 0; h < op.numHeads; h++) {
      const auto size = static_cast<size_t>(length * D);
      std::vector<double> dq(size, 0.0), dk(size, 0.0), dv(size, 0.0);
      for (int64_t i = 0; i < length; i++) {
        const T* q = row<T>(op.q, start + i) + h * D;
        const T* dy = row<T>(op.dy, start + i) + h * D;
        const double delta = dot(dy, row<T>(op.y, start + i) + h * D, D);
        const double logsumexp = row<T>(op.logsumexp, start + i)[h];
        for (int64_t j = 0; j < length; j++) {
          const T* k = row<T>(op.k, start + j) + h * D;
          const double P = std::exp(op.scale * dot(q, k, D) - logsumexp);
          const double mask = attentionMask(op.dropout, start, i, h, j);
          const double dP = mask * dot(dy, row<T>(op.v, start + j) + h * D, D);
          const double dS = P * (dP - delta);
          for (int64_t d = 0; d < D; d++) {
            dq[static_cast<size_t>(i * D + d)] += op.scale * dS * k[d];
            dk[static_cast<size_t>(j * D + d)] += op.scale * dS * q[d];
            dv[static_cast<size_t>(j * D + d)] += mask * P * dy[d];
          }
        }
      }
      for (int64_t i = 0; i < length; i++)
        for (int64_t d = 0; d < D; d++) {
          const auto at = static_cast<size_t>(i * D + d);
          if (op.dq.present()) row<T>(op.dq, start + i)[h * D + d] = static_cast<T>(dq[at]);
          if (op.dk.present()) row<T>(op.dk, start + i)[h * D + d] = static_cast<T>(dk[at]);
          if (op.dv.present()) row<T>(op.dv, start + i)[h * D + d] = static_cast<T>(dv[at]);
        }
    }
  }
}

FL_REFERENCE_OP(attention)
FL_REFERENCE_OP(attentionBackward)

}  // namespace fl::reference
