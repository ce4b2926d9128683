// linear and the gradients of its input, weight and bias as dot products; contract in ops/linear.h.
// The layer with an adapter is reference/lora_linear.cc.
#include "ops/linear.h"

#include <vector>

#include "reference/base_product.h"
#include "reference/math.h"
#include "reference/ops.h"

namespace fl::reference {

// z = x W^T + b;  y = f(z) + residual
template <class T>
void linear(const OpCall& call) {
  const auto op = LinearOp::bind(call);
  const Factors base = baseOutput<T>(op.x, op.W, op.precision, op.baseWeights);
  for (int64_t r = 0; r < op.x.rows(); r++) {
    for (int64_t n = 0; n < op.W.rows(); n++) {
      double z = base.row(r)[n];
      if (op.b.present()) z += op.b.as<T>()[n];
      if (op.preActivation.present()) row<T>(op.preActivation, r)[n] = static_cast<T>(z);
      double y = activate(op.activation, z);
      if (op.residual.present()) y += row<T>(op.residual, r)[n];
      row<T>(op.y, r)[n] = static_cast<T>(y);
    }
  }
}

// dx = f'(z) dy W + residual
template <class T>
void linearBackwardInput(const OpCall& call) {
  const auto op = LinearBackwardInputOp::bind(call);
  const Factors base = baseGradient<T>(op.dy, op.W, op.precision, op.baseWeights);
  for (int64_t r = 0; r < op.dy.rows(); r++)
    for (int64_t k = 0; k < op.W.cols(); k++)
      row<T>(op.dx, r)[k] = static_cast<T>(finished<T>(op.epilogue, base.row(r)[k], r, k));
}

// dW += dy^T x
template <class T>
void linearBackwardWeight(const OpCall& call) {
  const auto op = LinearBackwardWeightOp::bind(call);
  const int64_t in = op.x.cols();
  const Factors dy = factors<T>(op.dy, op.precision), x = factors<T>(op.x, op.precision);
  for (int64_t n = 0; n < op.dy.cols(); n++) {
    std::vector<double> sum(static_cast<size_t>(in), 0.0);
    for (int64_t r = 0; r < op.x.rows(); r++)
      for (int64_t k = 0; k < in; k++) sum[static_cast<size_t>(k)] += dy.row(r)[n] * x.row(r)[k];
    T* dW = row<T>(op.dW, n);
    for (int64_t k = 0; k < in; k++) dW[k] = static_cast<T>(dW[k] + sum[static_cast<size_t>(k)]);
  }
}

// db += sum_rows dy
template <class T>
void biasBackward(const OpCall& call) {
  const auto op = BiasBackwardOp::bind(call);
  for (int64_t n = 0; n < op.dy.cols(); n++) {
    double sum = op.db.as<T>()[n];
    for (int64_t r = 0; r < op.dy.rows(); r++) sum += row<T>(op.dy, r)[n];
    op.db.as<T>()[n] = static_cast<T>(sum);
  }
}

FL_REFERENCE_OP(linear)
FL_REFERENCE_OP(linearBackwardInput)
FL_REFERENCE_OP(linearBackwardWeight)
FL_REFERENCE_OP(biasBackward)

}  // namespace fl::reference
