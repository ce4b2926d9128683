// addLayerNorm and its gradient as dropout, sum and normalization one after the other.
// The row's normalization is that of reference/layer_norm.h.
#include "ops/add_layer_norm.h"

#include "reference/layer_norm.h"
#include "reference/math.h"
#include "reference/ops.h"

namespace fl::reference {

// z = residual + mask x;  y = layerNorm(z)
template <class T>
void addLayerNorm(const OpCall& call) {
  const auto op = AddLayerNormOp::bind(call);
  std::vector<double> z(static_cast<size_t>(op.x.cols()));
  for (int64_t r = 0; r < op.x.rows(); r++) {
    const T* x = row<T>(op.x, r);
    const T* residual = row<T>(op.residual, r);
    for (size_t j = 0; j < z.size(); j++) z[j] = residual[j] + maskAt(op.dropout, r, static_cast<int64_t>(j)) * x[j];
    layerNormRow(z, op.gamma.as<T>(), op.beta.as<T>(), op.eps, row<T>(op.y, r), row<T>(op.stats, r));
    if (!op.z.present()) continue;
    for (size_t j = 0; j < z.size(); j++) row<T>(op.z, r)[j] = static_cast<T>(z[j]);
  }
}

// dresidual = dz;  dx = mask dz
template <class T>
void addLayerNormBackward(const OpCall& call) {
  const auto op = AddLayerNormBackwardOp::bind(call);
  const auto hidden = static_cast<size_t>(op.z.cols());
  std::vector<double> dz(hidden), dgamma(hidden), dbeta(hidden);
  for (int64_t r = 0; r < op.z.rows(); r++) {
    layerNormRowBackward(row<T>(op.dy, r), row<T>(op.z, r), op.gamma.as<T>(), row<T>(op.stats, r), dz, dgamma, dbeta);
    for (size_t j = 0; j < hidden; j++) {
      const double mask = maskAt(op.dropout, r, static_cast<int64_t>(j));
      if (op.dresidual.present()) row<T>(op.dresidual, r)[j] = static_cast<T>(dz[j]);
      if (op.dx.present()) row<T>(op.dx, r)[j] = static_cast<T>(mask * dz[j]);
    }
  }
  addTo<T>(op.dgamma, dgamma);
  addTo<T>(op.dbeta, dbeta);
}

FL_REFERENCE_OP(addLayerNorm)
FL_REFERENCE_OP(addLayerNormBackward)

}  // namespace fl::reference
