// addLayerNorm and its gradient on the CPU: dropout, residual and normalization of a row in one
// pass. Gradients of gamma and beta are layer_norm.cc's, the row's arithmetic
// cpu/rows/row_kernels.cc's.
#include "ops/add_layer_norm.h"

#include <cstring>

#include "cpu/ops.h"
#include "cpu/ops/layer_norm.h"

namespace fl::cpu {

void addLayerNorm(const OpCall& call) {
  const auto op = AddLayerNormOp::bind(call);
  const int64_t hidden = op.x.cols();
  const Mask mask = maskOf(op.dropout);
  forRows(op.x.rows(), hidden, [&](int64_t row) {
    const float *x = rowOf(op.x, row), *residual = rowOf(op.residual, row);
    // y's own memory serves as z where nobody keeps z: the row kernel may work in place.
    float* z = op.z.present() ? mutableRow(op.z, row) : mutableRow(op.y, row);
    if (op.dropout.active())
      rowKernels().dropoutAdd(mask, op.dropout.token(row), x, residual, z, hidden);
    else
      for (int64_t i = 0; i < hidden; i++) z[i] = residual[i] + x[i];
    float unused[2];
    rowKernels().layerNorm(z, op.gamma.as<float>(), op.beta.as<float>(), static_cast<float>(op.eps),
                           mutableRow(op.y, row), op.stats.present() ? mutableRow(op.stats, row) : unused, hidden);
  });
}

void addLayerNormBackward(const OpCall& call) {
  const auto op = AddLayerNormBackwardOp::bind(call);
  layerNormParameters(op.dy, op.z, op.stats, op.dgamma, op.dbeta);
  if (!op.dx.present() && !op.dresidual.present()) return;
  const int64_t hidden = op.z.cols();
  const Mask mask = maskOf(op.dropout);
  forRows(op.z.rows(), hidden, [&](int64_t row) {
    float* dz = mutableRow(op.dresidual.present() ? op.dresidual : op.dx, row);
    rowKernels().layerNormBackward(rowOf(op.dy, row), rowOf(op.z, row), op.gamma.as<float>(), rowOf(op.stats, row), dz,
                                   hidden);
    if (!op.dx.present()) return;
    float* dx = mutableRow(op.dx, row);
    if (op.dropout.active())
      rowKernels().dropout(mask, op.dropout.token(row), 0, dz, dx, hidden);
    else if (dx != dz)
      std::memcpy(dx, dz, static_cast<size_t>(hidden) * sizeof(float));
  });
}

}  // namespace fl::cpu
