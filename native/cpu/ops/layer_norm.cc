// layerNorm and its gradient on the CPU, with dgamma and dbeta over blocks of columns.
// The fused form with residual and dropout is add_layer_norm.cc.
#include "ops/layer_norm.h"

#include "cpu/ops.h"
#include "cpu/ops/layer_norm.h"

namespace fl::cpu {

void layerNormParameters(const Tensor& dy, const Tensor& x, const Tensor& stats, const Tensor& dgamma,
                         const Tensor& dbeta) {
  if (!dgamma.present() && !dbeta.present()) return;
  forColumnBlocks(x.cols(), [&](int64_t begin, int64_t n) {
    rowKernels().layerNormBackwardColumns(dy.as<float>() + begin, x.as<float>() + begin, stats.as<float>(), x.rows(),
                                          x.cols(), dgamma.present() ? dgamma.as<float>() + begin : nullptr,
                                          dbeta.present() ? dbeta.as<float>() + begin : nullptr, n);
  });
}

void layerNorm(const OpCall& call) {
  const auto op = LayerNormOp::bind(call);
  const int64_t hidden = op.x.cols();
  forRows(op.x.rows(), hidden, [&](int64_t row) {
    float unused[2];
    rowKernels().layerNorm(rowOf(op.x, row), op.gamma.as<float>(), op.beta.as<float>(), static_cast<float>(op.eps),
                           mutableRow(op.y, row), op.stats.present() ? mutableRow(op.stats, row) : unused, hidden);
  });
}

void layerNormBackward(const OpCall& call) {
  const auto op = LayerNormBackwardOp::bind(call);
  // First the sums: dx may take the place of dy.
  layerNormParameters(op.dy, op.x, op.stats, op.dgamma, op.dbeta);
  if (!op.dx.present()) return;
  const int64_t hidden = op.x.cols();
  forRows(op.x.rows(), hidden, [&](int64_t row) {
    rowKernels().layerNormBackward(rowOf(op.dy, row), rowOf(op.x, row), op.gamma.as<float>(), rowOf(op.stats, row),
                                   mutableRow(op.dx, row), hidden);
  });
}

}  // namespace fl::cpu
