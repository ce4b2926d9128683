// embeddingSum: y[t] = sum_i table_i[ids_i[t]]: word, position and token-type embeddings in one pass.
// inputs: ids_0 [T], table_0 [V0, H], ids_1, table_1, ... (1 to 4 pairs);  outputs: y [T, H]
// Ids are checked against the table by whoever makes the batch (the addon), before the step.
// source: RobertaEmbeddings / BertEmbeddings of transformers; torch.nn.functional.embedding
//
// embeddingBackward: dtable[ids[t]] += dy[t], in the order of t; rows of paddingIndex get nothing.
// inputs: ids [T], dy [T, H];  outputs: dtable [V, H] acc;  attributes: paddingIndex (default -1: none)
#pragma once

#include "ops/op.h"

namespace fl {

struct EmbeddingSumOp {
  static constexpr int kMaxTables = 4;
  int numTables;
  Tensor ids[kMaxTables], table[kMaxTables], y;

  static EmbeddingSumOp bind(const OpCall& call) {
    Contract c(call, 2, 2 * kMaxTables, 1, 1);
    EmbeddingSumOp op{call.numInputs / 2, {}, {}, c.output(0)};
    if (call.numInputs % 2 != 0) c.reject("takes pairs of ids and table");
    c.matrix(op.y, "y", op.y.rows(), op.y.cols());
    for (int i = 0; i < op.numTables; i++) {
      op.ids[i] = c.input(2 * i);
      op.table[i] = c.input(2 * i + 1);
      c.indices(op.ids[i], "ids", op.y.rows());
      c.matrix(op.table[i], "table", op.table[i].rows(), op.y.cols());
    }
    return op;
  }
};

struct EmbeddingBackwardOp {
  Tensor ids, dy, dtable;
  int64_t paddingIndex;

  static EmbeddingBackwardOp bind(const OpCall& call) {
    Contract c(call, 2, 2, 1, 1);
    EmbeddingBackwardOp op{c.input(0), c.input(1), c.output(0),
                           static_cast<int64_t>(call.attributes->number("paddingIndex", -1))};
    c.matrix(op.dy, "dy", op.dy.rows(), op.dy.cols());
    c.indices(op.ids, "ids", op.dy.rows());
    c.matrix(op.dtable, "dtable", op.dtable.rows(), op.dy.cols());
    return op;
  }
};

}  // namespace fl
