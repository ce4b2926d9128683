// attention: bidirectional self-attention inside each sequence of a ragged batch; no padding, no mask.
// For every sequence s (rows cuSeqlens[s] .. cuSeqlens[s+1]) and head h (columns h D .. (h+1) D, D = H / numHeads):
//   P = softmax(scale q k^T) [L, L];  y = dropout(P) v
// inputs: q [Q, H], k [T, H], v [T, H], cuSeqlens [S + 1], queryRows? [Q]
// outputs: y [Q, H], logsumexp? [Q, numHeads] (log of the softmax denominator, for backward)
// attributes: numHeads, scale (default 1/sqrt D), dropout (default 0), site
// queryRows: the token that each query is, where only some are asked for; it attends to all of its sequence. Absent: Q
// = T, query i is token i. In any order, checked against T by whoever makes the batch. Dropout mask of P[i, j]: token =
// that of query i, feature = head * 65536 + j (runtime/philox.h). source:
// torch.nn.functional.scaled_dot_product_attention; BertSelfAttention of transformers
//
// attentionBackward, with P recomputed from logsumexp, m the mask / (1 - p), delta = sum_row(dy * y):
//   dv = (m P)^T dy;  dP = m (dy v^T);  dS = P (dP - delta);  dq = scale dS k;  dk = scale dS^T q
// inputs: dy, q [Q, H], k, v [T, H], y [Q, H], logsumexp [Q, numHeads], cuSeqlens [S + 1], queryRows? [Q]
// outputs: dq? [Q, H], dk? [T, H], dv? [T, H];  attributes: numHeads, scale, dropout, site
// source: Dao et al. 2022 (FlashAttention), appendix B
#pragma once

#include "ops/op.h"

namespace fl {

struct AttentionOp {
  Tensor q, k, v, cuSeqlens, queryRows, y, logsumexp;
  int64_t numHeads, headDim, numSequences;
  double scale;
  DropoutSpec dropout;

  static AttentionOp bind(const OpCall& call) {
    Contract c(call, 4, 5, 1, 2);
    AttentionOp op{c.input(0),  c.input(1), c.input(2), c.input(3), c.input(4), c.output(0),
                   c.output(1), 0,          0,          0,          0,          {}};
    const int64_t queries = op.q.rows(), hidden = op.q.cols();
    const int64_t tokens = op.queryRows.present() ? op.k.rows() : queries;
    c.matrix(op.q, "q", queries, hidden);
    op.numHeads = headsOf(c, hidden);
    op.headDim = hidden / op.numHeads;
    op.numSequences = op.cuSeqlens.rows() - 1;
    op.scale = c.call().attributes->number("scale", 1.0 / std::sqrt(static_cast<double>(op.headDim)));
    c.matrix(op.k, "k", tokens, hidden);
    c.matrix(op.v, "v", tokens, hidden);
    c.indices(op.cuSeqlens, "cuSeqlens", op.numSequences + 1);
    c.optionalIndices(op.queryRows, "queryRows", queries);
    c.matrix(op.y, "y", queries, hidden);
    c.optionalMatrix(op.logsumexp, "logsumexp", queries, op.numHeads);
    op.dropout = DropoutSpec::bind(c, op.queryRows, queries);
    return op;
  }

  static int64_t headsOf(const Contract& c, int64_t hidden) {
    const auto heads = static_cast<int64_t>(c.call().attributes->number("numHeads"));
    if (heads < 1 || hidden % heads != 0)
      c.reject("hidden size " + std::to_string(hidden) + " is not divisible by " + std::to_string(heads) + " heads");
    return heads;
  }
};

struct AttentionBackwardOp {
  Tensor dy, q, k, v, y, logsumexp, cuSeqlens, queryRows, dq, dk, dv;
  int64_t numHeads, headDim, numSequences;
  double scale;
  DropoutSpec dropout;

  static AttentionBackwardOp bind(const OpCall& call) {
    Contract c(call, 7, 8, 1, 3);
    AttentionBackwardOp op{c.input(0), c.input(1), c.input(2),  c.input(3),  c.input(4),  c.input(5),
                           c.input(6), c.input(7), c.output(0), c.output(1), c.output(2), 0,
                           0,          0,          0,           {}};
    const int64_t queries = op.q.rows(), hidden = op.q.cols();
    const int64_t tokens = op.queryRows.present() ? op.k.rows() : queries;
    c.matrix(op.q, "q", queries, hidden);
    op.numHeads = AttentionOp::headsOf(c, hidden);
    op.headDim = hidden / op.numHeads;
    op.numSequences = op.cuSeqlens.rows() - 1;
    op.scale = c.call().attributes->number("scale", 1.0 / std::sqrt(static_cast<double>(op.headDim)));
    c.matrix(op.dy, "dy", queries, hidden);
    c.matrix(op.k, "k", tokens, hidden);
    c.matrix(op.v, "v", tokens, hidden);
    c.matrix(op.y, "y", queries, hidden);
    c.matrix(op.logsumexp, "logsumexp", queries, op.numHeads);
    c.indices(op.cuSeqlens, "cuSeqlens", op.numSequences + 1);
    c.optionalIndices(op.queryRows, "queryRows", queries);
    c.optionalMatrix(op.dq, "dq", queries, hidden);
    c.optionalMatrix(op.dk, "dk", tokens, hidden);
    c.optionalMatrix(op.dv, "dv", tokens, hidden);
    op.dropout = DropoutSpec::bind(c, op.queryRows, queries);
    return op;
  }
};

}  // namespace fl
