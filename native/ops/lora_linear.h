// loraLinear: the fused LoRA linear layer (Hu et al. 2021, arXiv 2106.09685; storage as in PEFT).
//   u = s dropout(x) A^T             [R, r]   saved for backward
//   z = x W^T + b + u B^T            [R, N]
//   y = f(z) + residual
// inputs: x [R, K], W [N, K], b? [N], A [r, K], B [N, r], residual? [R, N], tokenIndex? [R]
// outputs: y [R, N], u [R, r], preActivation? [R, N] (z; only with an activation)
// attributes: scaling (s), activation, dropout (LoRA dropout, default 0: the fast path), site, precision.  r in 1..256.
// precision bf16 (op.h): x, W, A and B are rounded; u is s times an fp32 sum, stored in fp32 and rounded where it is
// multiplied by B. A masked x is mask / (1 - p) times x in fp32, and that is rounded.
// With B = 0 the result is that of `linear` bit for bit: both use the same tiles and the same order along K.
//
// loraLinearBackward, W frozen:
//   v  = s dy B                      [R, r]   (not kept)
//   dx = f'(z) (dy W + mask * (v A)) + residual         [R, K]   (mask and 1/(1-p) of the LoRA dropout; plain v A
//   without it) dA += v^T (mask * x)             [r, K] dB += dy^T u                     [N, r]
// inputs: dy [R, N], x [R, K], u [R, r], W? [N, K] (needed for dx only), A [r, K], B [N, r], tokenIndex? [R],
//   preActivation? [R, K], residual? [R, K] (f, z and residual as in linearBackwardInput; with dx only)
// outputs: dx? [R, K], dA [r, K] acc, dB [N, r] acc;  attributes: scaling, dropout, site, precision, activation
// precision bf16: dy, x, W, A, B, u and v are rounded, v where it is multiplied by A and x; the mask is applied to the
// fp32 sum v A.
// dA and dB sum over rows in row order inside one output element: the same bits at every thread count.
// source: PEFT lora.Linear.forward and its autograd gradient
#pragma once

#include "ops/linear.h"
#include "ops/op.h"

namespace fl {

struct LoraLinearOp {
  static constexpr int64_t kMaxRank = 256;
  Tensor x, W, b, A, B, residual, y, u, preActivation;
  double scaling;
  Activation activation;
  Precision precision;
  DropoutSpec dropout;

  static LoraLinearOp bind(const OpCall& call) {
    Contract c(call, 5, 7, 2, 3);
    LoraLinearOp op{c.input(0),
                    c.input(1),
                    c.input(2),
                    c.input(3),
                    c.input(4),
                    c.input(5),
                    c.output(0),
                    c.output(1),
                    c.output(2),
                    call.attributes->number("scaling"),
                    bindActivation(c),
                    bindPrecision(call.op, *call.attributes),
                    {}};
    const int64_t rows = op.x.rows(), k = op.x.cols(), n = op.W.rows(), r = op.A.rows();
    if (r < 1 || r > kMaxRank) c.reject("rank " + std::to_string(r) + " is not in 1..256");
    c.matrix(op.x, "x", rows, k);
    c.matrix(op.W, "W", n, k);
    c.optionalVector(op.b, "b", n);
    c.matrix(op.A, "A", r, k);
    c.matrix(op.B, "B", n, r);
    c.optionalMatrix(op.residual, "residual", rows, n);
    c.matrix(op.y, "y", rows, n);
    c.matrix(op.u, "u", rows, r);
    c.optionalMatrix(op.preActivation, "preActivation", rows, n);
    op.dropout = DropoutSpec::bind(c, c.input(6), rows);
    return op;
  }
};

struct LoraLinearBackwardOp {
  Tensor dy, x, u, W, A, B, dx, dA, dB;
  double scaling;
  Precision precision;
  DropoutSpec dropout;
  GradientEpilogue epilogue;

  static LoraLinearBackwardOp bind(const OpCall& call) {
    Contract c(call, 6, 9, 3, 3);
    LoraLinearBackwardOp op{c.input(0),
                            c.input(1),
                            c.input(2),
                            c.input(3),
                            c.input(4),
                            c.input(5),
                            c.output(0),
                            c.output(1),
                            c.output(2),
                            call.attributes->number("scaling"),
                            bindPrecision(call.op, *call.attributes),
                            {},
                            {}};
    const int64_t rows = op.x.rows(), k = op.x.cols(), n = op.dy.cols(), r = op.A.rows();
    if (r < 1 || r > LoraLinearOp::kMaxRank) c.reject("rank " + std::to_string(r) + " is not in 1..256");
    if (op.dx.present() && !op.W.present()) c.reject("dx needs W");
    c.matrix(op.dy, "dy", rows, n);
    c.matrix(op.x, "x", rows, k);
    c.matrix(op.A, "A", r, k);
    c.matrix(op.u, "u", rows, r);
    c.optionalMatrix(op.W, "W", n, k);
    c.matrix(op.B, "B", n, r);
    c.optionalMatrix(op.dx, "dx", rows, k);
    c.matrix(op.dA, "dA", r, k);
    c.matrix(op.dB, "dB", n, r);
    op.dropout = DropoutSpec::bind(c, c.input(6), rows);
    op.epilogue = GradientEpilogue::bind(c, 7, rows, k);
    if (op.epilogue.present() && !op.dx.present()) c.reject("preActivation and residual need dx");
    return op;
  }
};

}  // namespace fl
