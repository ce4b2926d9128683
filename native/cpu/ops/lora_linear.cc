// loraLinear and loraLinearBackward on the CPU. Products are cpu/gemm/product.h's, u and v
// low_rank.h's, dA and dB weight_gradient.h's; the layer without an adapter is linear.cc.
//
// Fused: u is made while the rows of x are packed, and the update u B^T is `rank` more k-steps of
// every tile of x W^T; the same for v and v A in the backward pass. LoRA dropout needs one masked
// copy of x (it has to differ from what W sees), and in the backward pass one more sweep over dx,
// because the mask lies between v A and dx.
#include "ops/lora_linear.h"

#include <algorithm>
#include <cstring>

#include "cpu/dispatch.h"
#include "cpu/gemm/linear_parts.h"
#include "cpu/gemm/low_rank.h"
#include "cpu/gemm/product.h"
#include "cpu/gemm/weight_gradient.h"
#include "cpu/ops.h"
#include "cpu/rows/rows.h"
#include "runtime/bf16.h"

namespace fl::cpu {
namespace {

constexpr int64_t kRowsPerPiece = 16;

/// Rows of x and dy that the caches of the cores still hold when dA and dB read them again.
int64_t rowsInCache(int64_t k, int64_t n) {
  constexpr int64_t bytes = int64_t{1} << 20;
  return std::max<int64_t>(112, bytes / ((k + n) * int64_t{4}));
}

/// x, or with LoRA dropout a masked copy of it in the workspace.
const float* droppedInput(const Tensor& x, const DropoutSpec& dropout) {
  if (!dropout.active()) return x.as<float>();
  const int64_t k = x.cols();
  float* masked = workspace(WorkspaceSlot::maskedInput, x.count());
  const Mask mask = maskOf(dropout);
  forRows(x.rows(), k,
          [&](int64_t row) { rowKernels().dropout(mask, dropout.token(row), 0, rowOf(x, row), masked + row * k, k); });
  return masked;
}

/// The panels of A or B as the adapter of a product; made for every call, since both change with
/// every step.
Panels adapterPanels(const Kernels& kernels, Tensor adapter, WeightUse use) {
  adapter.parameter = nullptr;
  return weightPanels(kernels, adapter, use, WorkspaceSlot::adapterPanels).panels;
}

/// A [rank, k] as the products multiply it, row-major.
const float* multipliedValues(const Tensor& A, Precision precision) {
  if (precision == Precision::fp32) return A.as<float>();
  float* out = workspace(WorkspaceSlot::adapterPanels, A.count());
  for (int64_t i = 0; i < A.count(); i++) out[i] = roundToBf16(A.as<float>()[i]);
  return out;
}

/// dx = f'(z) (dx + mask * (v A)) + residual
void addDroppedUpdate(const LoraLinearBackwardOp& op, const float* v) {
  const int64_t k = op.dx.cols(), rank = op.A.rows();
  const Mask mask = maskOf(op.dropout);
  const bool bf16 = op.precision == Precision::bf16;
  const float* A = multipliedValues(op.A, op.precision);
  ThreadPool& pool = ThreadPool::instance();
  pool.parallelFor((op.dx.rows() + kRowsPerPiece - 1) / kRowsPerPiece, [&](int64_t piece, int thread) {
    auto* update = static_cast<float*>(pool.scratch(thread, k * static_cast<int64_t>(sizeof(float))));
    for (int64_t row = piece * kRowsPerPiece; row < std::min(op.dx.rows(), (piece + 1) * kRowsPerPiece); row++) {
      std::memset(update, 0, static_cast<size_t>(k) * sizeof(float));
      for (int64_t i = 0; i < rank; i++) {
        const float factor = bf16 ? roundToBf16(v[row * rank + i]) : v[row * rank + i];
        for (int64_t j = 0; j < k; j++) update[j] += factor * A[i * k + j];
      }
      float* dx = mutableRow(op.dx, row);
      rowKernels().dropoutAdd(mask, op.dropout.token(row), update, dx, dx, k);
      const GradientEpilogue& e = op.epilogue;
      if (e.preActivation.present())
        rowKernels().activationBackward(kernelActivation(e.activation), dx, rowOf(e.preActivation, row), dx, k);
      if (e.residual.present())
        for (int64_t j = 0; j < k; j++) dx[j] += rowOf(e.residual, row)[j];
    }
  });
}

/// dA += v^T x and dB += dy^T u, some rows after the other. The sums of dB are made transposed
/// [rank, N], as rows of vectors, and added at the end.
class AdapterGradients {
 public:
  AdapterGradients(const Kernels& kernels, const LoraLinearBackwardOp& op, const float* x, const float* v)
      : kernels_(kernels), rank_(op.A.rows()), n_(op.dy.cols()), dB_(op.dB.as<float>()) {
    sums_ = workspace(WorkspaceSlot::weightGradients, rank_ * n_);
    std::memset(sums_, 0, static_cast<size_t>(rank_ * n_) * sizeof(float));
    ofA_ = {v, rank_, x, op.x.cols(), op.dA.as<float>()};
    ofB_ = {op.u.as<float>(), rank_, op.dy.as<float>(), n_, sums_};
  }

  void add(int64_t begin, int64_t end) { addWeightGradients(kernels_, {ofA_, ofB_}, begin, end); }

  void finish() {
    ThreadPool& pool = ThreadPool::instance();
    constexpr int64_t columns = 64;
    pool.parallelFor((n_ + columns - 1) / columns, [&](int64_t piece, int thread) {
      const int64_t first = piece * columns, count = std::min(columns, n_ - first);
      auto* sums = static_cast<float*>(pool.scratch(thread, count * rank_ * static_cast<int64_t>(sizeof(float))));
      kernels_.transpose(reinterpret_cast<const Word*>(sums_ + first), n_, rank_, count, reinterpret_cast<Word*>(sums),
                         rank_);
      for (int64_t i = 0; i < count * rank_; i++) dB_[first * rank_ + i] += sums[i];
    });
  }

 private:
  const Kernels& kernels_;
  const int64_t rank_, n_;
  float *dB_, *sums_;
  WeightGradient ofA_, ofB_;
};

}  // namespace

void loraLinear(const OpCall& call) {
  const LoraLinearOp op = LoraLinearOp::bind(call);
  const Kernels& kernels = kernelsFor(op.precision);
  const WeightPanels weight = weightPanels(kernels, op.W, WeightUse::forward, WorkspaceSlot::weightPanels);
  Product p(kernels);
  p.m = op.x.rows();
  p.n = op.W.rows();
  p.k = op.x.cols();
  p.a = op.x.as<float>();
  p.lda = p.k;
  p.b = weight.panels;
  p.rank = op.A.rows();
  p.adapter = adapterPanels(kernels, op.B, WeightUse::forward);
  p.u = op.u.as<float>();
  const LowRank low = lowRank(kernels, op.A, WeightUse::forward, static_cast<float>(op.scaling));
  if (op.dropout.active())
    lowRankInput(kernels, low, droppedInput(op.x, op.dropout), p.m, p.k, p.u);
  else
    p.low = low;
  p.c = op.y.as<float>();
  p.bias = floatsOrNull(op.b);
  p.residual = floatsOrNull(op.residual);
  p.preActivation = floatsOrNull(op.preActivation);
  p.activation = kernelActivation(op.activation);
  multiply(p);
}

void loraLinearBackward(const OpCall& call) {
  const LoraLinearBackwardOp op = LoraLinearBackwardOp::bind(call);
  const Kernels& kernels = kernelsFor(op.precision);
  const int64_t rows = op.x.rows(), k = op.x.cols(), n = op.dy.cols(), rank = op.A.rows();
  const float* dy = op.dy.as<float>();
  const LowRank low = lowRank(kernels, op.B, WeightUse::backward, static_cast<float>(op.scaling));
  float* v = workspace(WorkspaceSlot::lowRank, rows * rank);
  AdapterGradients gradients(kernels, op, droppedInput(op.x, op.dropout), v);
  const bool fused = op.dx.present() && !op.dropout.active();
  if (!fused) lowRankInput(kernels, low, dy, rows, n, v);
  if (op.dx.present()) {
    const WeightPanels weight = weightPanels(kernels, op.W, WeightUse::backward, WorkspaceSlot::weightPanels);
    Product p(kernels);
    p.m = rows;
    p.n = k;
    p.k = n;
    p.a = dy;
    p.lda = n;
    p.b = weight.panels;
    p.c = op.dx.as<float>();
    if (fused) {
      p.rank = rank;
      p.adapter = adapterPanels(kernels, op.A, WeightUse::backward);
      p.u = v;
      p.low = low;
      p.rowsAtOnce = rowsInCache(k, n);
      setEpilogue(p, op.epilogue);
      p.afterRows = [&](int64_t begin, int64_t end) { gradients.add(begin, end); };
    }
    multiply(p);
    if (!fused) addDroppedUpdate(op, v);
  }
  if (!fused) gradients.add(0, rows);
  gradients.finish();
}

}  // namespace fl::cpu
