// embeddingSum and embeddingBackward as loops over tokens; contract in ops/embedding.h.
// Rows by index of computed matrices: reference/gather_rows.cc.
#include "ops/embedding.h"

#include <vector>

#include "reference/math.h"
#include "reference/ops.h"

namespace fl::reference {

// y[t] = sum_i table_i[ids_i[t]]
template <class T>
void embeddingSum(const OpCall& call) {
  const auto op = EmbeddingSumOp::bind(call);
  for (int64_t t = 0; t < op.y.rows(); t++) {
    T* y = row<T>(op.y, t);
    for (int64_t j = 0; j < op.y.cols(); j++) {
      double sum = 0;
      for (int i = 0; i < op.numTables; i++) sum += row<T>(op.table[i], op.ids[i].as<int32_t>()[t])[j];
      y[j] = static_cast<T>(sum);
    }
  }
}

// dtable[ids[t]] += dy[t]
template <class T>
void embeddingBackward(const OpCall& call) {
  const auto op = EmbeddingBackwardOp::bind(call);
  const int32_t* ids = op.ids.as<int32_t>();
  const T* start = op.dtable.as<T>();
  std::vector<double> dtable(start, start + op.dtable.count());
  for (int64_t t = 0; t < op.dy.rows(); t++) {
    if (ids[t] == op.paddingIndex) continue;
    const T* dy = row<T>(op.dy, t);
    for (int64_t j = 0; j < op.dy.cols(); j++) dtable[static_cast<size_t>(ids[t] * op.dy.cols() + j)] += dy[j];
  }
  for (int64_t i = 0; i < op.dtable.count(); i++) op.dtable.as<T>()[i] = static_cast<T>(dtable[static_cast<size_t>(i)]);
}

FL_REFERENCE_OP(embeddingSum)
FL_REFERENCE_OP(embeddingBackward)

}  // namespace fl::reference
