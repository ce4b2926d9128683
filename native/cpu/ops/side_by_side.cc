// Calls of several programs over one frozen weight as one product: its panels are read once for the
// rows of all of them. What each call has of its own (rows, bias, activation, adapter, mask) is as
// in linear.cc and lora_linear.cc; what it packs lies in a workspace set of its own.
#include "cpu/ops/side_by_side.h"

#include <deque>
#include <vector>

#include "cpu/dispatch.h"
#include "cpu/gemm/linear_parts.h"
#include "cpu/ops/lora_linear.h"

namespace fl::cpu {
namespace {

void outputs(std::span<const OpCall> calls) {
  std::deque<Product> products;
  std::vector<const Product*> all;
  int64_t set = 0;
  for (const OpCall& call : calls) {
    const WorkspaceSet own(++set);
    if (call.op == OpKind::loraLinear) {
      all.push_back(&products.emplace_back(loraLinearProduct(LoraLinearOp::bind(call))));
      continue;
    }
    const LinearOp op = LinearOp::bind(call);
    all.push_back(&products.emplace_back(outputProduct(kernelsFor(op.precision), op)));
  }
  multiply(all);
}

void inputGradients(std::span<const OpCall> calls) {
  std::deque<LoraLinearGradients> gradients;
  std::deque<Product> bare;
  std::vector<const Product*> all;
  int64_t set = 0;
  for (const OpCall& call : calls) {
    const WorkspaceSet own(++set);
    if (call.op == OpKind::loraLinearBackward) {
      all.push_back(gradients.emplace_back(LoraLinearBackwardOp::bind(call)).product());
      continue;
    }
    const LinearBackwardInputOp op = LinearBackwardInputOp::bind(call);
    Product& product = bare.emplace_back(inputGradientProduct(kernelsFor(op.precision), op));
    setEpilogue(product, op.epilogue);
    all.push_back(&product);
  }
  multiply(all);
  for (LoraLinearGradients& each : gradients) each.finish();
}

}  // namespace

void runSideBySide(std::span<const OpCall> calls) {
  const OpKind op = calls.front().op;
  if (op == OpKind::linear || op == OpKind::loraLinear)
    outputs(calls);
  else
    inputGradients(calls);
}

}  // namespace fl::cpu
