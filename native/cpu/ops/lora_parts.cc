// The parts of LoRA's ops that are no product of cpu/gemm/product.h, each over rows that its caller
// names. What they are for: lora_parts.h.
#include "cpu/ops/lora_parts.h"

#include <algorithm>
#include <cstring>

#include "cpu/dispatch.h"
#include "cpu/rows/rows.h"
#include "runtime/bf16.h"

namespace fl::cpu {
namespace {

constexpr int64_t kLoraRowsPerPiece = 16;

/// A [rank, k] as the products multiply it, row-major.
const float* multipliedValues(const Tensor& A, Precision precision) {
  if (precision == Precision::fp32) return A.as<float>();
  float* out = workspace(WorkspaceSlot::adapterPanels, A.count());
  for (int64_t i = 0; i < A.count(); i++) out[i] = roundToBf16(A.as<float>()[i]);
  return out;
}

}  // namespace

int64_t rowsInCache(const Kernels& kernels, int64_t k, int64_t n) {
  return std::max<int64_t>(112, kernels.gradientBytes / ((k + n) * int64_t{4}));
}

const float* droppedInput(const Tensor& x, const DropoutSpec& dropout) {
  if (!dropout.active()) return x.as<float>();
  const int64_t k = x.cols();
  float* masked = workspace(WorkspaceSlot::maskedInput, x.count());
  const Mask mask = maskOf(dropout);
  forRows(x.rows(), k,
          [&](int64_t row) { rowKernels().dropout(mask, dropout.token(row), 0, rowOf(x, row), masked + row * k, k); });
  return masked;
}

Panels adapterPanels(const Kernels& kernels, Tensor adapter, WeightUse use) {
  adapter.parameter = nullptr;
  return weightPanels(kernels, adapter, use, WorkspaceSlot::adapterPanels).panels;
}

void addDroppedUpdate(const DroppedUpdate& op) {
  const int64_t k = op.dx.cols(), rank = op.A.rows();
  const Mask mask = maskOf(op.dropout);
  const bool bf16 = op.precision == Precision::bf16;
  const float* A = rank == 0 ? nullptr : multipliedValues(op.A, op.precision);
  ThreadPool& pool = ThreadPool::instance();
  pool.parallelFor((op.end - op.first + kLoraRowsPerPiece - 1) / kLoraRowsPerPiece, [&](int64_t piece, int thread) {
    auto* update = static_cast<float*>(pool.scratch(thread, k * static_cast<int64_t>(sizeof(float))));
    const int64_t begin = op.first + piece * kLoraRowsPerPiece;
    for (int64_t row = begin; row < std::min(op.end, begin + kLoraRowsPerPiece); row++) {
      float* dx = mutableRow(op.dx, row);
      if (rank != 0) {
        const float* v = op.v + (row - op.first) * rank;
        std::memset(update, 0, static_cast<size_t>(k) * sizeof(float));
        for (int64_t i = 0; i < rank; i++) {
          const float factor = bf16 ? roundToBf16(v[i]) : v[i];
          for (int64_t j = 0; j < k; j++) update[j] += factor * A[i * k + j];
        }
        rowKernels().dropoutAdd(mask, op.dropout.token(row), update, dx, dx, k);
      }
      const GradientEpilogue& e = op.epilogue;
      if (e.preActivation.present())
        rowKernels().activationBackward(kernelActivation(e.activation), dx, rowOf(e.preActivation, row), dx, k);
      if (e.residual.present())
        for (int64_t j = 0; j < k; j++) dx[j] += rowOf(e.residual, row)[j];
    }
  });
}

AdapterGradients::AdapterGradients(const Kernels& kernels, const AdapterGradient& gradient)
    : kernels_(kernels), g_(gradient), sums_(workspace(WorkspaceSlot::weightGradients, gradient.rank * gradient.n)) {
  if (g_.rank > 0) std::memset(sums_, 0, static_cast<size_t>(g_.rank * g_.n) * sizeof(float));
}

void AdapterGradients::add(int64_t begin, int64_t end) {
  const WeightGradient ofA{g_.v, g_.rank, g_.x, g_.k, g_.dA}, ofB{g_.u, g_.rank, g_.dy, g_.n, sums_};
  if (g_.dA != nullptr && g_.dB != nullptr) return addWeightGradients(kernels_, {ofA, ofB}, begin, end);
  if (g_.dA != nullptr) addWeightGradients(kernels_, {ofA}, begin, end);
  if (g_.dB != nullptr) addWeightGradients(kernels_, {ofB}, begin, end);
}

void AdapterGradients::finish() {
  if (g_.dB == nullptr) return;
  ThreadPool& pool = ThreadPool::instance();
  const int64_t n = g_.n, rank = g_.rank;
  constexpr int64_t columns = 64;
  pool.parallelFor((n + columns - 1) / columns, [&](int64_t piece, int thread) {
    const int64_t first = piece * columns, count = std::min(columns, n - first);
    auto* sums = static_cast<float*>(pool.scratch(thread, count * rank * static_cast<int64_t>(sizeof(float))));
    kernels_.transpose(reinterpret_cast<const Word*>(sums_ + first), n, rank, count, reinterpret_cast<Word*>(sums),
                       rank);
    for (int64_t i = 0; i < count * rank; i++) g_.dB[first * rank + i] += sums[i];
  });
}

}  // namespace fl::cpu
