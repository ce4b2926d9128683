// embeddingSum: y[t] = sum_i table_i[ids_i[t]]: word, position and token-type embeddings in one
// pass, one to four tables. Rows of any matrix by index, without a sum: ops/gather_rows.h.
// Its paddingIndex0 .. paddingIndex3 are for the gradient rule (src/graph/ops/embedding.ts) alone.
// source: RobertaEmbeddings / BertEmbeddings of transformers; torch.nn.functional.embedding
//
// embeddingBackward: dtable[ids[t]] += dy[t], in the order of t; rows of paddingIndex get nothing.
#pragma once

#include "ops/op.h"

namespace fl {

struct EmbeddingSumOp {
  static constexpr Signature signature{
      "ids_0 [T] i32 < V0, table_0 [V0, H], ids_1? [T] i32 < V1, table_1? [V1, H], "
      "ids_2? [T] i32 < V2, table_2? [V2, H], ids_3? [T] i32 < V3, table_3? [V3, H]",
      "y [T, H]", "paddingIndex0?, paddingIndex1?, paddingIndex2?, paddingIndex3?"};
  static constexpr int kMaxTables = 4;
  int numTables;
  Tensor ids[kMaxTables], table[kMaxTables], y;

  static EmbeddingSumOp bind(const OpCall& call) {
    const Contract c(call);
    EmbeddingSumOp op{call.numInputs / 2, {}, {}, c.output(0)};
    if (call.numInputs % 2 != 0) c.reject("takes pairs of ids and table");
    for (int i = 0; i < op.numTables; i++) {
      op.ids[i] = c.input(2 * i);
      op.table[i] = c.input(2 * i + 1);
      if (!op.ids[i].present()) c.reject("operand ids_" + std::to_string(i) + " is missing");
      if (!op.table[i].present()) c.reject("operand table_" + std::to_string(i) + " is missing");
    }
    return op;
  }
};

struct EmbeddingBackwardOp {
  static constexpr Signature signature{"ids [T] i32 < V, dy [T, H]", "dtable [V, H] acc", "paddingIndex = -1"};
  Tensor ids, dy, dtable;
  /// -1: none.
  int64_t paddingIndex;

  static EmbeddingBackwardOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0), c.input(1), c.output(0), c.integer("paddingIndex", -1, INT32_MAX)};
  }
};

}  // namespace fl
