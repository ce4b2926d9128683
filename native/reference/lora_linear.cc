// loraLinear and its gradient, u and v summed first; contract in ops/lora_linear.h.
// Where bf16 rounds is the same as on every backend (reference/math.h, Factors).
#include "ops/lora_linear.h"

#include <vector>

#include "reference/base_product.h"
#include "reference/math.h"
#include "reference/ops.h"

namespace fl::reference {
namespace {

/// mask * x. In bf16 the masked value is an fp32 one before it is rounded, the factor 1 / (1 - p)
/// too.
template <class T>
Factors dropped(const Tensor& x, const DropoutSpec& dropout, Precision precision) {
  Factors out{x.cols(), std::vector<double>(static_cast<size_t>(x.count()))};
  for (int64_t r = 0; r < x.rows(); r++)
    for (int64_t k = 0; k < x.cols(); k++) {
      const double mask = maskAt(dropout, r, k), value = row<T>(x, r)[k];
      out.row(r)[k] = precision == Precision::bf16 ? roundToBf16(static_cast<float>(mask) * static_cast<float>(value))
                                                   : mask * value;
    }
  return out;
}

/// What u and v are where they are multiplied: in bf16 they are fp32 values first.
double factorOf(double sum, Precision precision) {
  return precision == Precision::bf16 ? roundToBf16(static_cast<float>(sum)) : sum;
}

}  // namespace

// u = s dropout(x) A^T;  z = x W^T + b + u B^T;  y = f(z) + residual
template <class T>
void loraLinear(const OpCall& call) {
  const auto op = LoraLinearOp::bind(call);
  const int64_t in = op.x.cols(), out = op.W.rows(), rank = op.A.rows();
  const Factors base = baseOutput<T>(op.x, op.W, op.precision, op.baseWeights);
  const Factors A = factors<T>(op.A, op.precision), B = factors<T>(op.B, op.precision);
  const Factors masked = dropped<T>(op.x, op.dropout, op.precision);
  for (int64_t r = 0; r < op.x.rows(); r++) {
    std::vector<double> u(static_cast<size_t>(rank), 0.0);
    for (int64_t i = 0; i < rank; i++) {
      const double sum = op.scaling * dot(masked.row(r), A.row(i), in);
      u[static_cast<size_t>(i)] = factorOf(sum, op.precision);
      row<T>(op.u, r)[i] = static_cast<T>(sum);
    }
    for (int64_t n = 0; n < out; n++) {
      double z = base.row(r)[n];
      if (op.b.present()) z += op.b.as<T>()[n];
      z += dot(u.data(), B.row(n), rank);
      if (op.preActivation.present()) row<T>(op.preActivation, r)[n] = static_cast<T>(z);
      double y = activate(op.activation, z);
      if (op.residual.present()) y += row<T>(op.residual, r)[n];
      row<T>(op.y, r)[n] = static_cast<T>(y);
    }
  }
}

// v = s dy B;  dx = f'(z) (dy W + mask * (v A)) + residual;  dA += v^T (mask * x);  dB += dy^T u
template <class T>
void loraLinearBackward(const OpCall& call) {
  const auto op = LoraLinearBackwardOp::bind(call);
  const int64_t in = op.x.cols(), out = op.dy.cols(), rank = op.A.rows();
  const Factors dy = factors<T>(op.dy, op.precision), u = factors<T>(op.u, op.precision);
  const Factors A = factors<T>(op.A, op.precision);
  const Factors dyW = op.dx.present() ? baseGradient<T>(op.dy, op.W, op.precision, op.baseWeights) : Factors{in, {}};
  const Factors B = factors<T>(op.B, op.precision), masked = dropped<T>(op.x, op.dropout, op.precision);
  std::vector<double> dA(static_cast<size_t>(rank * in), 0.0), dB(static_cast<size_t>(out * rank), 0.0);
  for (int64_t r = 0; r < op.x.rows(); r++) {
    std::vector<double> v(static_cast<size_t>(rank), 0.0);
    for (int64_t n = 0; n < out; n++)
      for (int64_t i = 0; i < rank; i++) {
        v[static_cast<size_t>(i)] += op.scaling * dy.row(r)[n] * B.row(n)[i];
        dB[static_cast<size_t>(n * rank + i)] += dy.row(r)[n] * u.row(r)[i];
      }
    for (double& value : v) value = factorOf(value, op.precision);
    for (int64_t i = 0; i < rank; i++)
      for (int64_t k = 0; k < in; k++)
        dA[static_cast<size_t>(i * in + k)] += v[static_cast<size_t>(i)] * masked.row(r)[k];
    if (!op.dx.present()) continue;

    std::vector<double> vA(static_cast<size_t>(in), 0.0);
    for (int64_t i = 0; i < rank; i++)
      for (int64_t k = 0; k < in; k++) vA[static_cast<size_t>(k)] += v[static_cast<size_t>(i)] * A.row(i)[k];
    for (int64_t k = 0; k < in; k++)
      row<T>(op.dx, r)[k] = static_cast<T>(
          finished<T>(op.epilogue, dyW.row(r)[k] + maskAt(op.dropout, r, k) * vA[static_cast<size_t>(k)], r, k));
  }
  for (int64_t i = 0; i < op.dA.count(); i++)
    op.dA.as<T>()[i] = static_cast<T>(op.dA.as<T>()[i] + dA[static_cast<size_t>(i)]);
  for (int64_t i = 0; i < op.dB.count(); i++)
    op.dB.as<T>()[i] = static_cast<T>(op.dB.as<T>()[i] + dB[static_cast<size_t>(i)]);
}

FL_REFERENCE_OP(loraLinear)
FL_REFERENCE_OP(loraLinearBackward)

}  // namespace fl::reference
