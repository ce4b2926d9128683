// segmentedLoraLinear and its gradients: loraLinear of this backend (lora_linear.cc) on the rows of
// each segment, linear's formulas where a segment has no adapter.
#include "ops/segmented_lora_linear.h"

#include <algorithm>
#include <vector>

#include "reference/ops.h"

namespace fl::reference {
namespace {

/// Rows of a segment, of an operand that has all rows; absent stays absent.
Tensor rowsOf(const Tensor& t, const Segment& s) {
  if (!t.present()) return t;
  if (t.rank == 2) return SegmentedLoraLinearOp::part(t, s.first, s.rows(), t.cols());
  return Tensor::of(t.as<int32_t>() + s.first, t.dtype, {s.rows()});
}

/// A call with these operands, and attributes of the segmented one.
OpCall callOf(const OpCall& whole, OpKind op, const Attributes& attributes, std::initializer_list<Tensor> inputs,
              std::initializer_list<Tensor> outputs) {
  OpCall call;
  call.op = op;
  call.attributes = &attributes;
  call.step = whole.step;
  for (const Tensor& t : inputs) call.inputs[static_cast<size_t>(call.numInputs++)] = t;
  for (const Tensor& t : outputs) call.outputs[static_cast<size_t>(call.numOutputs++)] = t;
  return call;
}

template <class T>
void zero(const Tensor& t) {
  std::fill_n(t.as<T>(), t.count(), T{0});
}

}  // namespace

template <class T>
void segmentedLoraLinear(const OpCall& call) {
  const auto op = SegmentedLoraLinearOp::bind(call);
  zero<T>(op.u);
  for (const Segment& s : segmentsOf<T>(op.ends, op.settings, op.x.rows(), op.mostRank())) {
    Attributes attributes = *call.attributes;
    attributes.set("scaling", s.scaling);
    const Tensor x = rowsOf(op.x, s), residual = rowsOf(op.residual, s), y = rowsOf(op.y, s);
    const Tensor preActivation = rowsOf(op.preActivation, s);
    if (s.rank == 0)
      linear<T>(callOf(call, OpKind::linear, attributes, {x, op.W, op.b, residual}, {y, preActivation}));
    else
      loraLinear<T>(callOf(call, OpKind::loraLinear, attributes,
                           {x, op.W, op.b, op.adapterA(s), op.adapterB(s), residual, rowsOf(op.dropout.tokenIndex, s)},
                           {y, op.adapterU(s), preActivation}));
  }
}

template <class T>
void segmentedLoraLinearBackward(const OpCall& call) {
  const auto op = SegmentedLoraLinearBackwardOp::bind(call);
  for (const Segment& s : segmentsOf<T>(op.ends, op.settings, op.x.rows(), op.mostRank())) {
    Attributes attributes = *call.attributes;
    attributes.set("scaling", s.scaling);
    const Tensor dy = rowsOf(op.dy, s), dx = rowsOf(op.dx, s), residual = rowsOf(op.epilogue.residual, s);
    const Tensor preActivation = rowsOf(op.epilogue.preActivation, s);
    if (s.rank == 0) {
      if (dx.present())
        linearBackwardInput<T>(
            callOf(call, OpKind::linearBackwardInput, attributes, {dy, op.W, preActivation, residual}, {dx}));
      continue;
    }
    // A gradient that nobody asks for goes to memory that is thrown away.
    std::vector<T> unread(static_cast<size_t>(s.rank * (op.x.cols() + op.dy.cols())));
    const Tensor dA =
        op.dA.present() ? op.partOfA(op.dA, s) : Tensor::of(unread.data(), op.x.dtype, {s.rank, op.x.cols()});
    const Tensor dB = op.dB.present()
                          ? op.partOfB(op.dB, s)
                          : Tensor::of(unread.data() + s.rank * op.x.cols(), op.x.dtype, {op.dy.cols(), s.rank});
    loraLinearBackward<T>(callOf(call, OpKind::loraLinearBackward, attributes,
                                 {dy, rowsOf(op.x, s), op.partOfU(s), op.W, op.partOfA(op.A, s), op.partOfB(op.B, s),
                                  rowsOf(op.dropout.tokenIndex, s), preActivation, residual},
                                 {dx, dA, dB}));
  }
}

FL_REFERENCE_OP(segmentedLoraLinear)
FL_REFERENCE_OP(segmentedLoraLinearBackward)

}  // namespace fl::reference
