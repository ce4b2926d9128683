// layerNorm and its gradient over the rows of a matrix, dgamma and dbeta summed over all rows.
// What happens to one row is in reference/layer_norm.h.
#include "ops/layer_norm.h"

#include "reference/layer_norm.h"
#include "reference/math.h"
#include "reference/ops.h"

namespace fl::reference {

template <class T>
void layerNorm(const OpCall& call) {
  const auto op = LayerNormOp::bind(call);
  for (int64_t r = 0; r < op.x.rows(); r++) {
    const T* x = row<T>(op.x, r);
    layerNormRow(std::vector<double>(x, x + op.x.cols()), op.gamma.as<T>(), op.beta.as<T>(), op.eps, row<T>(op.y, r),
                 row<T>(op.stats, r));
  }
}

template <class T>
void layerNormBackward(const OpCall& call) {
  const auto op = LayerNormBackwardOp::bind(call);
  const auto hidden = static_cast<size_t>(op.x.cols());
  std::vector<double> dx(hidden), dgamma(hidden), dbeta(hidden);
  for (int64_t r = 0; r < op.x.rows(); r++) {
    layerNormRowBackward(row<T>(op.dy, r), row<T>(op.x, r), op.gamma.as<T>(), row<T>(op.stats, r), dx, dgamma, dbeta);
    if (!op.dx.present()) continue;
    for (size_t j = 0; j < hidden; j++) row<T>(op.dx, r)[j] = static_cast<T>(dx[j]);
  }
  addTo<T>(op.dgamma, dgamma);
  addTo<T>(op.dbeta, dbeta);
}

FL_REFERENCE_OP(layerNorm)
FL_REFERENCE_OP(layerNormBackward)

}  // namespace fl::reference
