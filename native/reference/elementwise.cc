// add, scale and dropout as their contracts in ops/elementwise.h state them.
// The mask comes from reference/math.h.
#include "ops/elementwise.h"

#include "reference/math.h"
#include "reference/ops.h"

namespace fl::reference {

template <class T>
void add(const OpCall& call) {
  const auto op = AddOp::bind(call);
  const T* a = op.a.as<T>();
  const T* b = op.b.as<T>();
  T* y = op.y.as<T>();
  for (int64_t i = 0; i < op.y.count(); i++) y[i] = static_cast<T>(static_cast<double>(a[i]) + b[i]);
}

template <class T>
void scale(const OpCall& call) {
  const auto op = ScaleOp::bind(call);
  const T* x = op.x.as<T>();
  T* y = op.y.as<T>();
  for (int64_t i = 0; i < op.y.count(); i++) y[i] = static_cast<T>(op.factor * x[i]);
}

// y = mask x / (1 - p)
template <class T>
void dropout(const OpCall& call) {
  const auto op = DropoutOp::bind(call);
  for (int64_t r = 0; r < op.x.rows(); r++) {
    const T* x = row<T>(op.x, r);
    T* y = row<T>(op.y, r);
    for (int64_t j = 0; j < op.x.cols(); j++) y[j] = static_cast<T>(maskAt(op.dropout, r, j) * x[j]);
  }
}

FL_REFERENCE_OP(add)
FL_REFERENCE_OP(scale)
FL_REFERENCE_OP(dropout)

}  // namespace fl::reference
