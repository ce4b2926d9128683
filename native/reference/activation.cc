// activation and its gradient by the formulas of ops/activation.h, element by element.
// The functions f and f' are in reference/math.h.
#include "ops/activation.h"

#include "reference/math.h"
#include "reference/ops.h"

namespace fl::reference {

// y = f(x)
template <class T>
void activation(const OpCall& call) {
  const auto op = ActivationOp::bind(call);
  const T* x = op.x.as<T>();
  T* y = op.y.as<T>();
  for (int64_t i = 0; i < op.x.count(); i++) y[i] = static_cast<T>(activate(op.kind, x[i]));
}

// dx = dy f'(x)
template <class T>
void activationBackward(const OpCall& call) {
  const auto op = ActivationBackwardOp::bind(call);
  const T* x = op.x.as<T>();
  const T* dy = op.dy.as<T>();
  T* dx = op.dx.as<T>();
  for (int64_t i = 0; i < op.x.count(); i++) dx[i] = static_cast<T>(dy[i] * activateDerivative(op.kind, x[i]));
}

FL_REFERENCE_OP(activation)
FL_REFERENCE_OP(activationBackward)

}  // namespace fl::reference
