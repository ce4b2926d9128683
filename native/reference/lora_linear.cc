#include "ops/lora_linear.h"

#include <vector>

#include "reference/math.h"
#include "reference/ops.h"

namespace fl::reference {
namespace {

/// Row r of mask * x, in double.
template <class T>
std::vector<double> droppedRow(const Tensor& x, const DropoutSpec& dropout, int64_t r) {
  std::vector<double> out(static_cast<size_t>(x.cols()));
  for (int64_t k = 0; k < x.cols(); k++) out[static_cast<size_t>(k)] = maskAt(dropout, r, k) * row<T>(x, r)[k];
  return out;
}

}  // namespace

// u = s dropout(x) A^T;  z = x W^T + b + u B^T;  y = f(z) + residual
template <class T>
void loraLinear(const OpCall& call) {
  const auto op = LoraLinearOp::bind(call);
  const int64_t in = op.x.cols(), out = op.W.rows(), rank = op.A.rows();
  for (int64_t r = 0; r < op.x.rows(); r++) {
    const std::vector<double> dropped = droppedRow<T>(op.x, op.dropout, r);
    std::vector<double> u(static_cast<size_t>(rank), 0.0);
    for (int64_t i = 0; i < rank; i++) {
      double sum = 0;
      for (int64_t k = 0; k < in; k++) sum += dropped[static_cast<size_t>(k)] * row<T>(op.A, i)[k];
      u[static_cast<size_t>(i)] = op.scaling * sum;
      row<T>(op.u, r)[i] = static_cast<T>(op.scaling * sum);
    }
    for (int64_t n = 0; n < out; n++) {
      double z = dot(row<T>(op.x, r), row<T>(op.W, n), in);
      if (op.b.present()) z += op.b.as<T>()[n];
      for (int64_t i = 0; i < rank; i++) z += u[static_cast<size_t>(i)] * row<T>(op.B, n)[i];
      if (op.preActivation.present()) row<T>(op.preActivation, r)[n] = static_cast<T>(z);
      double y = activate(op.activation, z);
      if (op.residual.present()) y += row<T>(op.residual, r)[n];
      row<T>(op.y, r)[n] = static_cast<T>(y);
    }
  }
}

// v = s dy B;  dx = dy W + mask * (v A);  dA += v^T (mask * x);  dB += dy^T u
template <class T>
void loraLinearBackward(const OpCall& call) {
  const auto op = LoraLinearBackwardOp::bind(call);
  const int64_t in = op.x.cols(), out = op.dy.cols(), rank = op.A.rows();
  std::vector<double> dA(static_cast<size_t>(rank * in), 0.0), dB(static_cast<size_t>(out * rank), 0.0);
  for (int64_t r = 0; r < op.x.rows(); r++) {
    const T* dy = row<T>(op.dy, r);
    const T* u = row<T>(op.u, r);
    const std::vector<double> dropped = droppedRow<T>(op.x, op.dropout, r);

    std::vector<double> v(static_cast<size_t>(rank), 0.0);
    for (int64_t n = 0; n < out; n++)
      for (int64_t i = 0; i < rank; i++) {
        v[static_cast<size_t>(i)] += op.scaling * dy[n] * row<T>(op.B, n)[i];
        dB[static_cast<size_t>(n * rank + i)] += static_cast<double>(dy[n]) * u[i];
      }
    for (int64_t i = 0; i < rank; i++)
      for (int64_t k = 0; k < in; k++)
        dA[static_cast<size_t>(i * in + k)] += v[static_cast<size_t>(i)] * dropped[static_cast<size_t>(k)];
    if (!op.dx.present()) continue;

    std::vector<double> dyW(static_cast<size_t>(in), 0.0), vA(static_cast<size_t>(in), 0.0);
    for (int64_t n = 0; n < out; n++)
      for (int64_t k = 0; k < in; k++) dyW[static_cast<size_t>(k)] += static_cast<double>(dy[n]) * row<T>(op.W, n)[k];
    for (int64_t i = 0; i < rank; i++)
      for (int64_t k = 0; k < in; k++) vA[static_cast<size_t>(k)] += v[static_cast<size_t>(i)] * row<T>(op.A, i)[k];
    for (int64_t k = 0; k < in; k++)
      row<T>(op.dx, r)[k] =
          static_cast<T>(dyW[static_cast<size_t>(k)] + maskAt(op.dropout, r, k) * vA[static_cast<size_t>(k)]);
  }
  for (int64_t i = 0; i < op.dA.count(); i++)
    op.dA.as<T>()[i] = static_cast<T>(op.dA.as<T>()[i] + dA[static_cast<size_t>(i)]);
  for (int64_t i = 0; i < op.dB.count(); i++)
    op.dB.as<T>()[i] = static_cast<T>(op.dB.as<T>()[i] + dB[static_cast<size_t>(i)]);
}

FL_REFERENCE_OP(loraLinear)
FL_REFERENCE_OP(loraLinearBackward)

}  // namespace fl::reference
