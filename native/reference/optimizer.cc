// squaredNorm and adamw of one tensor; formulas in ops/optimizer.h.
// Clipping and the loop over tensors: ops/optimizer_update.cc.
#include "ops/optimizer.h"

#include "reference/math.h"
#include "reference/ops.h"

namespace fl::reference {

// out = sum_i x_i^2
template <class T>
void squaredNorm(const OpCall& call) {
  const auto op = SquaredNormOp::bind(call);
  op.out.as<double>()[0] = dot(op.x.as<T>(), op.x.as<T>(), op.x.count());
}

// p = p (1 - learningRate weightDecay) - learningRate / c1 * m / (sqrt(v) / sqrt(c2) + eps), m and
// v updated before
template <class T>
void adamw(const OpCall& call) {
  const auto op = AdamWOp::bind(call);
  const AdamWSettings& s = op.settings;
  for (int64_t i = 0; i < op.p.count(); i++) {
    const double g = s.gradientScale * op.gradient.as<T>()[i];
    const double m = s.beta1 * op.m.as<T>()[i] + (1 - s.beta1) * g;
    const double v = s.beta2 * op.v.as<T>()[i] + (1 - s.beta2) * g * g;
    const double decayed = op.p.as<T>()[i] * (1 - s.learningRate * s.weightDecay);
    const double step = s.learningRate / s.correction1 * m / (std::sqrt(v) / std::sqrt(s.correction2) + s.eps);
    op.m.as<T>()[i] = static_cast<T>(m);
    op.v.as<T>()[i] = static_cast<T>(v);
    op.p.as<T>()[i] = static_cast<T>(decayed - step);
  }
}

FL_REFERENCE_OP(squaredNorm)
FL_REFERENCE_OP(adamw)

}  // namespace fl::reference
