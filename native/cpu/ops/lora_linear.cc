// loraLinear and loraLinearBackward on the CPU. Products are cpu/gemm/product.h's, u and v
// low_rank.h's, the rest is lora_parts.h's; the layer without an adapter is linear.cc, with several
// segmented_lora_linear.cc.
//
// Fused: u is made while the rows of x are packed, and the update u B^T is `rank` more k-steps of
// every tile of x W^T; the same for v and v A in the backward pass. LoRA dropout needs one masked
// copy of x (it has to differ from what W sees), and in the backward pass one more sweep over dx,
// because the mask lies between v A and dx.
#include "cpu/ops/lora_linear.h"

#include "cpu/dispatch.h"
#include "cpu/gemm/linear_parts.h"
#include "cpu/ops.h"

namespace fl::cpu {

Product loraLinearProduct(const LoraLinearOp& op) {
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
  return p;
}

void loraLinear(const OpCall& call) { multiply(loraLinearProduct(LoraLinearOp::bind(call))); }

LoraLinearGradients::LoraLinearGradients(const LoraLinearBackwardOp& op)
    : op_(op),
      low_(lowRank(kernelsFor(op.precision), op.B, WeightUse::backward, static_cast<float>(op.scaling))),
      v_(workspace(WorkspaceSlot::lowRank, op.x.rows() * op.A.rows())),
      gradients_(kernelsFor(op.precision), {op.A.rows(), op.x.cols(), op.dy.cols(), droppedInput(op.x, op.dropout), v_,
                                            op.dy.as<float>(), op.u.as<float>(), op.dA.as<float>(), op.dB.as<float>()}),
      fused_(op.dx.present() && !op.dropout.active()) {
  const Kernels& kernels = kernelsFor(op.precision);
  const int64_t k = op.x.cols(), n = op.dy.cols();
  if (!fused_) lowRankInput(kernels, low_, op.dy.as<float>(), op.x.rows(), n, v_);
  if (!op.dx.present()) return;
  Product& p = product_.emplace(inputGradientProduct(kernels, op));
  if (!fused_) return;
  p.rank = op.A.rows();
  p.adapter = adapterPanels(kernels, op.A, WeightUse::backward);
  p.u = v_;
  p.low = low_;
  p.rowsAtOnce = rowsInCache(kernels, k, n);
  setEpilogue(p, op.epilogue);
  p.afterRows = [this](int64_t begin, int64_t end) { gradients_.add(begin, end); };
}

void LoraLinearGradients::finish() {
  const int64_t rows = op_.x.rows();
  if (!fused_) {
    if (op_.dx.present()) addDroppedUpdate({op_.dx, op_.A, op_.dropout, op_.precision, op_.epilogue, 0, rows, v_});
    gradients_.add(0, rows);
  }
  gradients_.finish();
}

void loraLinearBackward(const OpCall& call) {
  LoraLinearGradients gradients(LoraLinearBackwardOp::bind(call));
  if (const Product* product = gradients.product()) multiply(*product);
  gradients.finish();
}

}  // namespace fl::cpu
