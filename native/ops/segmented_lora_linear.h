// segmentedLoraLinear: a LoRA linear layer whose rows belong to several adapters, or to none, over
// one frozen W (S-LoRA, arXiv 2311.03285; Punica, arXiv 2310.18547). One adapter for all rows:
// ops/lora_linear.h, whose formulas hold here row by row.
//
// Adapters lie in `slots`; slot g has rows [ends[g - 1], ends[g]) of the batch (ends[-1] = 0), and
// rows from ends[slots - 1] on have no adapter. ends never falls; a slot may have no rows.
// settings[g] = (r_g, s_g): its rank, 0 to `rank`, and its scaling. With a program built once, an
// adapter of any rank up to `rank` is put into a slot by writing its values there:
//   A [slots rank, K]   slot g begins at row g rank, and there lies A_g [r_g, K]
//   B [slots N, rank]   slot g begins at row g N, and there lies B_g [N, r_g], dense
//   u [R, rank]         rows f to e - 1 of slot g begin at row f, and there lies u_g [e - f, r_g],
//                       dense; the rest is 0
// What a slot has behind its values is not read. Gradients lie in the same way, and what lies
// behind is left as it is.
//   u_g = s_g dropout(x) A_g^T
//   z   = x W^T + b + u_g B_g^T;  y = f(z) + residual
//   v_g = s_g dy B_g;  dx = f'(z) (dy W + mask * (v_g A_g)) + residual
//   dA_g += v_g^T (mask * x),  dB_g += dy^T u_g
// Each row of y and dx, and each dA_g and dB_g, has the bits that loraLinear (linear without an
// adapter) gives for the rows of that segment alone: sums over rows begin anew with a segment, and
// tokenIndex, which dropout needs here, counts in the segment's own batch.
// A rank that is no number in 0..rank counts as the nearest one that is.
#pragma once

#include <algorithm>
#include <vector>

#include "ops/linear.h"
#include "ops/op.h"

namespace fl {

/// Rows [first, end) of one slot; rank 0: without an adapter.
struct Segment {
  int64_t slot = 0, first = 0, end = 0, rank = 0;
  double scaling = 0;

  int64_t rows() const { return end - first; }
};

/// The segments that have rows, in their order; they cover all rows. Operands are in host memory.
template <class T>
std::vector<Segment> segmentsOf(const Tensor& ends, const Tensor& settings, int64_t rows, int64_t mostRank) {
  std::vector<Segment> segments;
  int64_t first = 0;
  for (int64_t g = 0; g < ends.count(); g++) {
    const int64_t end = std::clamp<int64_t>(ends.as<int32_t>()[g], first, rows);
    const T* own = settings.as<T>() + 2 * g;
    const int64_t rank = own[0] >= 1 ? static_cast<int64_t>(std::min(own[0], static_cast<T>(mostRank))) : 0;
    if (end > first) segments.push_back({g, first, end, rank, static_cast<double>(own[1])});
    first = end;
  }
  if (first < rows) segments.push_back({0, first, rows, 0, 0});
  return segments;
}

struct SegmentedLoraLinearOp {
  static constexpr Signature signature{
      "x [R, K], W [N, K] packed forward, b? [N], A [slotRanks, K], B [slotOuts, rank], settings [slots, 2], "
      "ends [slots] i32 ascending to R, residual? [R, N], tokenIndex? [R] i32",
      "y [R, N], u [R, rank], preActivation? [R, N]",
      "activation = none, dropout = 0, site = 0, precision = fp32, baseWeights = fp32",
      "rank in [1, 256], dropout in [0, 1)"};
  Tensor x, W, b, A, B, settings, ends, residual, y, u, preActivation;
  Activation activation;
  Precision precision;
  DropoutSpec dropout;
  BaseWeights baseWeights;

  static SegmentedLoraLinearOp bind(const OpCall& call) {
    const Contract c(call);
    const SegmentedLoraLinearOp op{c.input(0),
                                   c.input(1),
                                   c.input(2),
                                   c.input(3),
                                   c.input(4),
                                   c.input(5),
                                   c.input(6),
                                   c.input(7),
                                   c.output(0),
                                   c.output(1),
                                   c.output(2),
                                   bindActivation(c),
                                   bindPrecision(call.op, *call.attributes),
                                   DropoutSpec::bind(c, c.input(8)),
                                   bindBaseWeights(c, c.input(1).cols())};
    c.expect("slotRanks", op.settings.rows() * op.B.cols());
    c.expect("slotOuts", op.settings.rows() * op.W.rows());
    if (op.dropout.active() && !op.dropout.tokenIndex.present()) c.reject("dropout needs tokenIndex");
    return op;
  }

  int64_t mostRank() const { return B.cols(); }
  /// A [r, K], B [N, r] and u [rows, r] of a segment.
  Tensor adapterA(const Segment& s) const { return part(A, s.slot * mostRank(), s.rank, A.cols()); }
  Tensor adapterB(const Segment& s) const { return part(B, s.slot * W.rows(), W.rows(), s.rank); }
  Tensor adapterU(const Segment& s) const { return part(u, s.first, s.rows(), s.rank); }

  /// [rows, cols], dense, from row `from` of t on.
  static Tensor part(const Tensor& t, int64_t from, int64_t rows, int64_t cols) {
    char* data = static_cast<char*>(t.data) + from * t.cols() * sizeOf(t.dtype);
    return Tensor::of(data, t.dtype, {rows, cols});
  }
};

struct SegmentedLoraLinearBackwardOp {
  static constexpr Signature signature{
      "dy [R, N], x [R, K], u [R, rank], W? [N, K] packed backward, A [slotRanks, K], B [slotOuts, rank], "
      "settings [slots, 2], ends [slots] i32 ascending to R, tokenIndex? [R] i32, preActivation? [R, K], "
      "residual? [R, K]",
      "dx? [R, K], dA? [slotRanks, K] acc, dB? [slotOuts, rank] acc",
      "dropout = 0, site = 0, precision = fp32, activation = none, baseWeights = fp32",
      "rank in [1, 256], dropout in [0, 1)"};
  Tensor dy, x, u, W, A, B, settings, ends, dx, dA, dB;
  Precision precision;
  DropoutSpec dropout;
  GradientEpilogue epilogue;
  BaseWeights baseWeights;

  static SegmentedLoraLinearBackwardOp bind(const OpCall& call) {
    const Contract c(call);
    const SegmentedLoraLinearBackwardOp op{c.input(0),
                                           c.input(1),
                                           c.input(2),
                                           c.input(3),
                                           c.input(4),
                                           c.input(5),
                                           c.input(6),
                                           c.input(7),
                                           c.output(0),
                                           c.output(1),
                                           c.output(2),
                                           bindPrecision(call.op, *call.attributes),
                                           DropoutSpec::bind(c, c.input(8)),
                                           GradientEpilogue::bind(c, 9),
                                           bindBaseWeights(c, c.input(0).cols())};
    c.expect("slotRanks", op.settings.rows() * op.u.cols());
    c.expect("slotOuts", op.settings.rows() * op.dy.cols());
    if (op.dx.present() && !op.W.present()) c.reject("dx needs W");
    if (op.epilogue.present() && !op.dx.present()) c.reject("preActivation and residual need dx");
    if (op.dropout.active() && !op.dropout.tokenIndex.present()) c.reject("dropout needs tokenIndex");
    return op;
  }

  int64_t mostRank() const { return u.cols(); }
  bool anyGradient() const { return dA.present() || dB.present(); }
  /// Of a segment, as in SegmentedLoraLinearOp; `t` may be the gradient.
  Tensor partOfA(const Tensor& t, const Segment& s) const {
    return SegmentedLoraLinearOp::part(t, s.slot * mostRank(), s.rank, t.cols());
  }
  Tensor partOfB(const Tensor& t, const Segment& s) const {
    return SegmentedLoraLinearOp::part(t, s.slot * dy.cols(), dy.cols(), s.rank);
  }
  Tensor partOfU(const Segment& s) const { return SegmentedLoraLinearOp::part(u, s.first, s.rows(), s.rank); }
};

}  // namespace fl
