// add, scale and dropout on the CPU: the ops of programs that are not fused.
// Fused dropout is in add_layer_norm.cc, lora_linear.cc and attention.
#include "ops/elementwise.h"

#include <cstring>

#include "cpu/ops.h"
#include "cpu/rows/rows.h"

namespace fl::cpu {

void add(const OpCall& call) {
  const auto op = AddOp::bind(call);
  const float *a = op.a.as<float>(), *b = op.b.as<float>();
  float* y = op.y.as<float>();
  forElements(op.a.count(), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) y[i] = a[i] + b[i];
  });
}

void scale(const OpCall& call) {
  const auto op = ScaleOp::bind(call);
  const float* x = op.x.as<float>();
  float* y = op.y.as<float>();
  const auto factor = static_cast<float>(op.factor);
  forElements(op.x.count(), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) y[i] = factor * x[i];
  });
}

void dropout(const OpCall& call) {
  const auto op = DropoutOp::bind(call);
  const int64_t cols = op.x.cols();
  const Mask mask = maskOf(op.dropout);
  forRows(op.x.rows(), cols, [&](int64_t row) {
    if (op.dropout.active())
      rowKernels().dropout(mask, op.dropout.token(row), 0, rowOf(op.x, row), mutableRow(op.y, row), cols);
    else
      std::memmove(mutableRow(op.y, row), rowOf(op.x, row), static_cast<size_t>(cols) * sizeof(float));
  });
}

}  // namespace fl::cpu
