// gatherRows and its gradient on the CPU: rows of a matrix by index, as a head takes first tokens.
// Rows of embedding tables are embedding.cc's.
#include "ops/gather_rows.h"

#include "cpu/ops.h"
#include "cpu/rows/rows.h"

namespace fl::cpu {

void gatherRows(const OpCall& call) {
  const auto op = GatherRowsOp::bind(call);
  const int64_t cols = op.x.cols();
  forRows(op.y.rows(), cols, [&](int64_t row) {
    const float* x = rowOf(op.x, op.index.as<int32_t>()[row]);
    std::copy(x, x + cols, mutableRow(op.y, row));
  });
}

void gatherRowsBackward(const OpCall& call) {
  const auto op = GatherRowsBackwardOp::bind(call);
  float* dx = op.dx.as<float>();
  forElements(op.dx.count(), [&](int64_t begin, int64_t end) { std::fill(dx + begin, dx + end, 0.0f); });
  forColumnBlocks(op.dy.cols(), [&](int64_t begin, int64_t n) {
    for (int64_t g = 0; g < op.dy.rows(); g++) {
      const float* dy = rowOf(op.dy, g) + begin;
      float* row = mutableRow(op.dx, op.index.as<int32_t>()[g]) + begin;
      for (int64_t c = 0; c < n; c++) row[c] += dy[c];
    }
  });
}

}  // namespace fl::cpu
