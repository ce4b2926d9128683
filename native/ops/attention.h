// attention: bidirectional self-attention inside each sequence of a ragged batch; no padding, no
// mask. Its kernels have rooms of their own: cpu/attention/ and cuda/attention/.
// For every sequence s (rows cuSeqlens[s] .. cuSeqlens[s+1]) and head h (columns h D .. (h+1) D,
// D = H / numHeads):
//   P = softmax(scale q k^T) [L, L];  y = dropout(P) v;  logsumexp: log of the softmax denominator,
//   for backward;  scale: 1/sqrt D by default
// queryRows: the token that each query is, where only some are asked for, in any order; it attends
// to all of its sequence. Absent: Q = T, query i is token i. Dropout mask of P[i, j]: token = that
// of query i, feature = head * 65536 + j (runtime/philox.h).
// source: torch.nn.functional.scaled_dot_product_attention; BertSelfAttention of transformers
//
// attentionBackward, with P recomputed from logsumexp, m the mask / (1 - p),
// delta = sum_row(dy * y):
//   dv = (m P)^T dy;  dP = m (dy v^T);  dS = P (dP - delta);  dq = scale dS k;  dk = scale dS^T q
// source: Dao et al. 2022 (FlashAttention), appendix B
#pragma once

#include "ops/op.h"

namespace fl {

/// What both directions share.
struct AttentionDims {
  int64_t numHeads, headDim, numSequences;
  double scale;

  static AttentionDims bind(const Contract& c, const Tensor& q, const Tensor& cuSeqlens, const Tensor& queryRows) {
    const int64_t heads = c.integer("numHeads", 1, INT32_MAX);
    const int64_t hidden = q.cols();
    if (hidden % heads != 0)
      c.reject("hidden size " + std::to_string(hidden) + " is not divisible by " + std::to_string(heads) + " heads");
    c.expect("numHeads", heads);
    if (!queryRows.present()) c.expect("T", q.rows());
    const int64_t headDim = hidden / heads;
    return {heads, headDim, cuSeqlens.rows() - 1,
            c.call().attributes->number("scale", 1.0 / std::sqrt(static_cast<double>(headDim)))};
  }
};

struct AttentionOp : AttentionDims {
  static constexpr Signature signature{
      "q [Q, H], k [T, H], v [T, H], cuSeqlens [S+1] i32 rising to T, queryRows? [Q] i32 < T",
      "y [Q, H], logsumexp? [Q, numHeads]", "numHeads, scale?, dropout = 0, site = 0", "dropout in [0, 1)"};
  Tensor q, k, v, cuSeqlens, queryRows, y, logsumexp;
  DropoutSpec dropout;

  static AttentionOp bind(const OpCall& call) {
    const Contract c(call);
    return {AttentionDims::bind(c, c.input(0), c.input(3), c.input(4)),
            c.input(0),
            c.input(1),
            c.input(2),
            c.input(3),
            c.input(4),
            c.output(0),
            c.output(1),
            DropoutSpec::bind(c, c.input(4))};
  }
};

struct AttentionBackwardOp : AttentionDims {
  static constexpr Signature signature{
      "dy [Q, H], q [Q, H], k [T, H], v [T, H], y [Q, H], logsumexp [Q, numHeads], cuSeqlens [S+1] i32 rising to T, "
      "queryRows? [Q] i32 < T",
      "dq? [Q, H], dk? [T, H], dv? [T, H]", "numHeads, scale?, dropout = 0, site = 0", "dropout in [0, 1)"};
  Tensor dy, q, k, v, y, logsumexp, cuSeqlens, queryRows, dq, dk, dv;
  DropoutSpec dropout;

  static AttentionBackwardOp bind(const OpCall& call) {
    const Contract c(call);
    return {AttentionDims::bind(c, c.input(1), c.input(6), c.input(7)),
            c.input(0),
            c.input(1),
            c.input(2),
            c.input(3),
            c.input(4),
            c.input(5),
            c.input(6),
            c.input(7),
            c.output(0),
            c.output(1),
            c.output(2),
            DropoutSpec::bind(c, c.input(7))};
  }
};

}  // namespace fl
