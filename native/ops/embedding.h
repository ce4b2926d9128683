// embeddingSum: y[t] = sum_i table_i[ids_i[t]]: word, position and token-type embeddings in one
// pass, one to four tables. Rows of any matrix by index, without a sum: ops/gather_rows.h.
// baseWeights: how table_0 is held, fp32 or int8 (ops/base_weights.h); the others are fp32.
// int8: of row v in fp32, scale_v and code_v[j] as a product has them, and table_0[v, j] =
// code_v[j] * scale_v, rounded to fp32 before the other tables are added. A row with NaN or an
// infinite value gives NaN. The table is frozen: its gradient would be that of the full one.
// Its paddingIndex0 .. paddingIndex3 are for the gradient rule (src/graph/ops/embedding.ts) alone.
// source: RobertaEmbeddings / BertEmbeddings of transformers; torch.nn.functional.embedding
//
// embeddingBackward: dtable[ids[t]] += dy[t], in the order of t; rows of paddingIndex get nothing.
#pragma once

#include "ops/base_weights.h"
#include "ops/op.h"

namespace fl {

struct EmbeddingSumOp {
  static constexpr Signature signature{
      "ids_0 [T] i32 < V0, table_0 [V0, H] packed forward, ids_1? [T] i32 < V1, table_1? [V1, H], "
      "ids_2? [T] i32 < V2, table_2? [V2, H], ids_3? [T] i32 < V3, table_3? [V3, H]",
      "y [T, H]", "paddingIndex0?, paddingIndex1?, paddingIndex2?, paddingIndex3?, baseWeights = fp32"};
  static constexpr int kMaxTables = 4;
  int numTables;
  Tensor ids[kMaxTables], table[kMaxTables], y;
  /// Of table 0: fp32 or int8.
  BaseWeights baseWeights = BaseWeights::fp32;

  static EmbeddingSumOp bind(const OpCall& call) {
    const Contract c(call);
    EmbeddingSumOp op{call.numInputs / 2, {}, {}, c.output(0), bindBaseWeights(call.op, *call.attributes)};
    if (op.baseWeights == BaseWeights::nf4) c.reject("holds its first table in fp32 or int8, not in nf4");
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
