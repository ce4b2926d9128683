// embeddingSum on the CPU, and its gradient: threads share out columns, so that rows are added in
// their order. Selecting rows of a matrix is gather_rows.cc's.
#include "ops/embedding.h"

#include "cpu/ops.h"
#include "cpu/rows/int8_table.h"
#include "cpu/rows/rows.h"

namespace fl::cpu {

void embeddingSum(const OpCall& call) {
  const auto op = EmbeddingSumOp::bind(call);
  const int64_t hidden = op.y.cols();
  const bool held = op.baseWeights == BaseWeights::int8;
  const Int8Table table = held ? int8Table(op.table[0]) : Int8Table{};
  forRows(op.y.rows(), hidden, [&](int64_t row) {
    float* y = mutableRow(op.y, row);
    const int32_t word = op.ids[0].as<int32_t>()[row];
    if (held) {
      table.expand(word, y);
    } else {
      const float* first = rowOf(op.table[0], word);
      std::copy(first, first + hidden, y);
    }
    for (int i = 1; i < op.numTables; i++) {
      const float* next = rowOf(op.table[i], op.ids[i].as<int32_t>()[row]);
      for (int64_t c = 0; c < hidden; c++) y[c] += next[c];
    }
  });
}

void embeddingBackward(const OpCall& call) {
  const auto op = EmbeddingBackwardOp::bind(call);
  const auto* ids = op.ids.as<int32_t>();
  forColumnBlocks(op.dy.cols(), [&](int64_t begin, int64_t n) {
    for (int64_t t = 0; t < op.dy.rows(); t++) {
      if (ids[t] == op.paddingIndex) continue;
      const float* dy = rowOf(op.dy, t) + begin;
      float* row = mutableRow(op.dtable, ids[t]) + begin;
      for (int64_t c = 0; c < n; c++) row[c] += dy[c];
    }
  });
}

}  // namespace fl::cpu
