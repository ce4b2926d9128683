// Fused: u is made while the rows of x are packed, and the update u B^T is `rank` more k-steps of every tile of x W^T;
// the same for v and v A in the backward pass. LoRA dropout needs one masked copy of x (it has to differ from what W
// sees), and in the backward pass one more sweep over dx, because the mask lies between v A and dx.
#include "ops/lora_linear.h"

#include <algorithm>
#include <cstring>

#include "cpu/gemm/linear_parts.h"
#include "cpu/gemm/product.h"
#include "cpu/gemm/select.h"
#include "cpu/ops.h"
#include "cpu/rows.h"

namespace fl::cpu {
namespace {

constexpr int64_t kRowsPerPiece = 16;

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

/// u = scale x a^T for x [rows, k] and a [rank, k], row-major.
void lowRankInput(const float* x, int64_t rows, int64_t k, const float* a, int64_t rank, float scale, float* u) {
  forPieces(rows, kRowsPerPiece, [&](int64_t begin, int64_t end) {
    kernelsF32().dots(x + begin * k, k, end - begin, a, k, rank, k, scale, u + begin * rank, rank);
  });
}

/// B [N, r] as [r, N] in the workspace.
const float* transposed(const Tensor& B) {
  const int64_t n = B.rows(), rank = B.cols();
  float* out = workspace(WorkspaceSlot::transposed, n * rank);
  constexpr int64_t columns = 64;
  forPieces(n, columns, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < rank; i++)
      for (int64_t j = begin; j < end; j++) out[i * n + j] = B.as<float>()[j * rank + i];
  });
  return out;
}

/// The panels of A or B as the adapter of a product; made for every call, since both change with every step.
PanelsF32 adapterPanels(Tensor adapter, WeightUse use) {
  adapter.parameter = nullptr;
  return weightPanels(adapter, use, WorkspaceSlot::adapterPanels).panels;
}

/// dx += mask * (v A)
void addDroppedUpdate(const LoraLinearBackwardOp& op, const float* v) {
  const int64_t k = op.dx.cols(), rank = op.A.rows();
  const Mask mask = maskOf(op.dropout);
  const float* A = op.A.as<float>();
  ThreadPool& pool = ThreadPool::instance();
  pool.parallelFor((op.dx.rows() + kRowsPerPiece - 1) / kRowsPerPiece, [&](int64_t piece, int thread) {
    auto* update = static_cast<float*>(pool.scratch(thread, k * static_cast<int64_t>(sizeof(float))));
    for (int64_t row = piece * kRowsPerPiece; row < std::min(op.dx.rows(), (piece + 1) * kRowsPerPiece); row++) {
      std::memset(update, 0, static_cast<size_t>(k) * sizeof(float));
      for (int64_t i = 0; i < rank; i++)
        for (int64_t j = 0; j < k; j++) update[j] += v[row * rank + i] * A[i * k + j];
      rowKernels().dropoutAdd(mask, op.dropout.token(row), update, rowOf(op.dx, row), mutableRow(op.dx, row), k);
    }
  });
}

/// dA += v^T x and dB += dy^T u, each column of x and dy by one thread, row after row.
void adapterGradients(const LoraLinearBackwardOp& op, const float* x, const float* v) {
  const KernelsF32& kernels = kernelsF32();
  const int64_t rows = op.x.rows(), k = op.x.cols(), n = op.dy.cols(), rank = op.A.rows();
  constexpr int64_t columns = 96;
  const int64_t chunksA = (k + columns - 1) / columns, chunksB = (n + columns - 1) / columns;
  ThreadPool& pool = ThreadPool::instance();
  pool.parallelFor(chunksA + chunksB, [&](int64_t chunk, int thread) {
    OuterF32 p;
    p.rows = rows;
    p.m = rank;
    p.lda = rank;
    if (chunk < chunksA) {
      const int64_t first = chunk * columns;
      p.a = v;
      p.b = x + first;
      p.ldb = p.ldc = k;
      p.n = std::min(columns, k - first);
      p.c = op.dA.as<float>() + first;
      kernels.outer(p);
      return;
    }
    const int64_t first = (chunk - chunksA) * columns;
    p.a = op.u.as<float>();
    p.b = op.dy.as<float>() + first;
    p.ldb = n;
    p.n = std::min(columns, n - first);
    p.ldc = columns;
    p.c = static_cast<float*>(pool.scratch(thread, rank * columns * static_cast<int64_t>(sizeof(float))));
    std::memset(p.c, 0, static_cast<size_t>(rank * columns) * sizeof(float));
    kernels.outer(p);
    float* dB = op.dB.as<float>() + first * rank;
    for (int64_t j = 0; j < p.n; j++)
      for (int64_t i = 0; i < rank; i++) dB[j * rank + i] += p.c[i * columns + j];
  });
}

}  // namespace

void loraLinear(const OpCall& call) {
  const LoraLinearOp op = LoraLinearOp::bind(call);
  const WeightPanels weight = weightPanels(op.W, WeightUse::forward, WorkspaceSlot::weightPanels);
  ProductF32 p;
  p.m = op.x.rows();
  p.n = op.W.rows();
  p.k = op.x.cols();
  p.a = op.x.as<float>();
  p.lda = p.k;
  p.b = weight.panels;
  p.rank = op.A.rows();
  p.adapter = adapterPanels(op.B, WeightUse::forward);
  p.u = op.u.as<float>();
  p.scale = static_cast<float>(op.scaling);
  if (op.dropout.active())
    lowRankInput(droppedInput(op.x, op.dropout), p.m, p.k, op.A.as<float>(), p.rank, p.scale, p.u);
  else
    p.low = op.A.as<float>();
  p.c = op.y.as<float>();
  p.bias = floatsOrNull(op.b);
  p.residual = floatsOrNull(op.residual);
  p.preActivation = floatsOrNull(op.preActivation);
  p.activation = tileActivation(op.activation);
  multiply(p);
}

void loraLinearBackward(const OpCall& call) {
  const LoraLinearBackwardOp op = LoraLinearBackwardOp::bind(call);
  const int64_t rows = op.x.rows(), k = op.x.cols(), n = op.dy.cols(), rank = op.A.rows();
  const auto scale = static_cast<float>(op.scaling);
  const float* dy = op.dy.as<float>();
  const float* low = transposed(op.B);
  float* v = workspace(WorkspaceSlot::lowRank, rows * rank);
  if (op.dx.present()) {
    const WeightPanels weight = weightPanels(op.W, WeightUse::backward, WorkspaceSlot::weightPanels);
    ProductF32 p;
    p.m = rows;
    p.n = k;
    p.k = n;
    p.a = dy;
    p.lda = n;
    p.b = weight.panels;
    p.c = op.dx.as<float>();
    if (!op.dropout.active()) {
      p.rank = rank;
      p.adapter = adapterPanels(op.A, WeightUse::backward);
      p.u = v;
      p.low = low;
      p.scale = scale;
    }
    multiply(p);
  }
  if (!op.dx.present() || op.dropout.active()) lowRankInput(dy, rows, n, low, rank, scale, v);
  if (op.dx.present() && op.dropout.active()) addDroppedUpdate(op, v);
  adapterGradients(op, droppedInput(op.x, op.dropout), v);
}

}  // namespace fl::cpu
