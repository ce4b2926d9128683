// loraLinear: the fused LoRA linear layer (Hu et al. 2021, arXiv 2106.09685; storage as in PEFT).
// The layer without an adapter, and its weight gradient, which this backward does not make:
// ops/linear.h. r = rank:
//   u = s dropout(x) A^T             [R, r]   saved for backward;  s = scaling
//   z = x W^T + b + u B^T            [R, N]   preActivation; only with an activation
//   y = f(z) + residual
// LoRA dropout 0 is the fast path.
// precision bf16 (op.h): x, W, A and B are rounded; u is s times an fp32 sum, stored in fp32 and
// rounded where it is multiplied by B. A masked x is mask / (1 - p) times x in fp32, and that is
// rounded.
// With B = 0 the result is that of `linear` bit for bit: both use the same tiles and the same order
// along K.
//
// loraLinearBackward, W frozen (and needed for dx only):
//   v  = s dy B                                         [R, r]   (not kept)
//   dx = f'(z) (dy W + mask * (v A)) + residual         [R, K]   (mask and 1/(1-p) of LoRA dropout;
//                                                                plain v A without it)
//   dA += v^T (mask * x)             [r, K]
//   dB += dy^T u                     [N, r]
// f, z and residual as in linearBackwardInput; with dx only.
// precision bf16: dy, x, W, A, B, u and v are rounded, v where it is multiplied by A and x; the
// mask is applied to the fp32 sum v A.
// dA and dB sum over rows in row order inside one output element: the same bits at every thread
// count.
// source: PEFT lora.Linear.forward and its autograd gradient
#pragma once

#include "ops/linear.h"
#include "ops/op.h"

namespace fl {

struct LoraLinearOp {
  static constexpr Signature signature{
      "x [R, K], W [N, K] packed forward, b? [N], A [rank, K], B [N, rank], residual? [R, N], tokenIndex? [R] i32",
      "y [R, N], u [R, rank], preActivation? [R, N]",
      "scaling, activation = none, dropout = 0, site = 0, precision = fp32, baseWeights = fp32",
      "rank in [1, 256], dropout in [0, 1)"};
  Tensor x, W, b, A, B, residual, y, u, preActivation;
  double scaling;
  Activation activation;
  Precision precision;
  DropoutSpec dropout;
  BaseWeights baseWeights;

  static LoraLinearOp bind(const OpCall& call) {
    const Contract c(call);
    return {c.input(0),
            c.input(1),
            c.input(2),
            c.input(3),
            c.input(4),
            c.input(5),
            c.output(0),
            c.output(1),
            c.output(2),
            c.number("scaling"),
            bindActivation(c),
            bindPrecision(call.op, *call.attributes),
            DropoutSpec::bind(c, c.input(6)),
            bindBaseWeights(c, c.input(1).cols())};
  }
};

struct LoraLinearBackwardOp {
  static constexpr Signature signature{
      "dy [R, N], x [R, K], u [R, rank], W? [N, K] packed backward, A [rank, K], B [N, rank], tokenIndex? [R] i32, "
      "preActivation? [R, K], residual? [R, K]",
      "dx? [R, K], dA [rank, K] acc, dB [N, rank] acc",
      "scaling, dropout = 0, site = 0, precision = fp32, activation = none, baseWeights = fp32",
      "rank in [1, 256], dropout in [0, 1)"};
  Tensor dy, x, u, W, A, B, dx, dA, dB;
  double scaling;
  Precision precision;
  DropoutSpec dropout;
  GradientEpilogue epilogue;
  BaseWeights baseWeights;

  static LoraLinearBackwardOp bind(const OpCall& call) {
    const Contract c(call);
    const LoraLinearBackwardOp op{c.input(0),
                                  c.input(1),
                                  c.input(2),
                                  c.input(3),
                                  c.input(4),
                                  c.input(5),
                                  c.output(0),
                                  c.output(1),
                                  c.output(2),
                                  c.number("scaling"),
                                  bindPrecision(call.op, *call.attributes),
                                  DropoutSpec::bind(c, c.input(6)),
                                  GradientEpilogue::bind(c, 7),
                                  bindBaseWeights(c, c.input(0).cols())};
    if (op.dx.present() && !op.W.present()) c.reject("dx needs W");
    if (op.epilogue.present() && !op.dx.present()) c.reject("preActivation and residual need dx");
    return op;
  }
};

}  // namespace fl
