// loraLinear and loraLinearBackward on the CPU. Products are cpu/gemm/product.h's, u and v
// low_rank.h's, the rest is lora_parts.h's; the layer without an adapter is linear.cc, with several
// segmented_lora_linear.cc.
//
// Fused: u is made while the rows of x are packed, and the update u B^T is `rank` more k-steps of
// every tile of x W^T; the same for v and v A in the backward pass. LoRA dropout needs one masked
// copy of x (it has to differ from what W sees), and in the backward pass one more sweep over dx,
// because the mask lies between v A and dx.
#include "ops/lora_linear.h"

#include "cpu/dispatch.h"
#include "cpu/gemm/linear_parts.h"
#include "cpu/gemm/low_rank.h"
#include "cpu/gemm/product.h"
#include "cpu/ops.h"
#include "cpu/ops/lora_parts.h"

namespace fl::cpu {
void loraLinear(const OpCall& call) {
  const LoraLinearOp op = LoraLinearOp::bind(call);
  const Kernels& kernels = kernelsFor(op.precision);
  Product p = outputProduct(kernels, op);
  p.rank = op.A.rows();
  p.adapter = adapterPanels(kernels, op.B, WeightUse::forward);
  p.u = op.u.as<float>();
  const LowRank low = lowRank(kernels, op.A, WeightUse::forward, static_cast<float>(op.scaling));
  if (op.dropout.active())
    lowRankInput(kernels, low, droppedInput(op.x, op.dropout), p.m, p.k, p.u);
  else
    p.low = low;
  multiply(p);
}

void loraLinearBackward(const OpCall& call) {
  const LoraLinearBackwardOp op = LoraLinearBackwardOp::bind(call);
  const Kernels& kernels = kernelsFor(op.precision);
  const int64_t rows = op.x.rows(), k = op.x.cols(), n = op.dy.cols(), rank = op.A.rows();
  const float* dy = op.dy.as<float>();
  const LowRank low = lowRank(kernels, op.B, WeightUse::backward, static_cast<float>(op.scaling));
  float* v = workspace(WorkspaceSlot::lowRank, rows * rank);
  AdapterGradients gradients(kernels, {rank, k, n, droppedInput(op.x, op.dropout), v, dy, op.u.as<float>(),
                                       op.dA.as<float>(), op.dB.as<float>()});
  const bool fused = op.dx.present() && !op.dropout.active();
  if (!fused) lowRankInput(kernels, low, dy, rows, n, v);
  if (op.dx.present()) {
    Product p = inputGradientProduct(kernels, op);
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
    if (!fused) addDroppedUpdate({op.dx, op.A, op.dropout, op.precision, op.epilogue, 0, rows, v});
  }
  if (!fused) gradients.add(0, rows);
  gradients.finish();
}

}  // namespace fl::cpu
