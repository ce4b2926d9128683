// gatherRows copies rows, gatherRowsBackward adds them back; contract in ops/gather_rows.h.
// Rows of tables: reference/embedding.cc.
#include "ops/gather_rows.h"

#include <vector>

#include "reference/math.h"
#include "reference/ops.h"

namespace fl::reference {

// y[g] = x[index[g]]
template <class T>
void gatherRows(const OpCall& call) {
  const auto op = GatherRowsOp::bind(call);
  for (int64_t g = 0; g < op.y.rows(); g++) {
    const T* x = row<T>(op.x, op.index.as<int32_t>()[g]);
    for (int64_t j = 0; j < op.y.cols(); j++) row<T>(op.y, g)[j] = x[j];
  }
}

// dx = 0;  dx[index[g]] += dy[g]
template <class T>
void gatherRowsBackward(const OpCall& call) {
  const auto op = GatherRowsBackwardOp::bind(call);
  std::vector<double> dx(static_cast<size_t>(op.dx.count()), 0.0);
  for (int64_t g = 0; g < op.dy.rows(); g++) {
    const T* dy = row<T>(op.dy, g);
    const int64_t target = op.index.as<int32_t>()[g];
    for (int64_t j = 0; j < op.dy.cols(); j++) dx[static_cast<size_t>(target * op.dy.cols() + j)] += dy[j];
  }
  for (int64_t i = 0; i < op.dx.count(); i++) op.dx.as<T>()[i] = static_cast<T>(dx[static_cast<size_t>(i)]);
}

FL_REFERENCE_OP(gatherRows)
FL_REFERENCE_OP(gatherRowsBackward)

}  // namespace fl::reference
