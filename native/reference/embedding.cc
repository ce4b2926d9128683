// embeddingSum and embeddingBackward as loops over tokens; contract in ops/embedding.h.
// Rows by index of computed matrices: reference/gather_rows.cc.
#include "ops/embedding.h"

#include <vector>

#include "reference/base_product.h"
#include "reference/math.h"
#include "reference/ops.h"

namespace fl::reference {

// y[t] = sum_i table_i[ids_i[t]], table_0 [v, j] = code_v[j] scale_v in int8
template <class T>
void embeddingSum(const OpCall& call) {
  const auto op = EmbeddingSumOp::bind(call);
  const bool held = op.baseWeights == BaseWeights::int8;
  const Int8Rows codes = held ? Int8Rows::of<T>(op.table[0], nullptr) : Int8Rows{};
  for (int64_t t = 0; t < op.y.rows(); t++) {
    T* y = row<T>(op.y, t);
    for (int64_t j = 0; j < op.y.cols(); j++) {
      double sum = 0;
      for (int i = 0; i < op.numTables; i++) {
        const int32_t id = op.ids[i].as<int32_t>()[t];
        sum += held && i == 0 ? static_cast<double>(codes.row(id)[j]) * codes.scales[static_cast<size_t>(id)]
                              : static_cast<double>(row<T>(op.table[i], id)[j]);
      }
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
