// baseWeights: how a product holds its frozen weight W, an attribute of linear, loraLinear,
// segmentedLoraLinear and the ops of their dx. Only x W^T and dy W change: adapter, bias,
// activation, residual and every other gradient are those of `precision`. A table of embeddings
// may be held in int8 too: ops/embedding.h.
//
// fp32 (the default): W as it is, or rounded to bf16 by `precision`.
//
// int8: W by output channel (row), x and dy by token (row), symmetric (runtime/int8.h). Of a row v,
// in fp32:
//   largest = max |v|;  scale = largest / 127;  code = nearest(v * (127 / largest)), ties to even
//   a row with a largest value below 2^-120 is zero; one with NaN or an infinite value gives NaN
//   x W^T [r, n] = float(sum_k code_x[r, k] code_W[n, k]) * (scale_x[r] * scale_W[n])
//   dy W  [r, k] = float(sum_n code_d[r, n] code_W[n, k]) * scale_d[r],  d = dy * scale_W
// The scales of W stand inside the sum of dx, so they go into dy before it is quantised.
// Sums are of integers, exact in 32 bits: |sum| <= 127 * 127 * 131,072 < 2^31, which is the longest
// sum that is taken. So the bits of a product without an adapter are the same on every instruction
// set, and a row's result does not depend on the rows beside it.
//
// nf4: W flattened row by row, in blocks of 64 values (runtime/nf4.h), a byte for two of them. Of a
// block, in fp32:
//   scale = max |w|;  code = the nearest of 16 values to w / scale, the lower one of two alike
// and the scales in turn, with the mean of all of them, in blocks of 256:
//   nested = max |scale - mean|;  scale code = the nearest of 256 values to (scale - mean) / nested
// A product multiplies value(code) * (value(scale code) * nested + mean), rounded as `precision`
// says; x and dy stay as they are.
// source: LLM.int8() (Dettmers et al. 2022, arXiv 2208.07339), section 2, vector-wise quantisation;
// QLoRA (Dettmers et al. 2023, arXiv 2305.14314), section 3; bitsandbytes 0.50.2 on a CPU
#pragma once

#include "ops/op.h"

namespace fl {

enum class BaseWeights : uint8_t { fp32, int8, nf4 };
std::string_view nameOf(BaseWeights weights);
/// From attribute `baseWeights`: 'fp32' (default), 'int8' or 'nf4', else INVALID_ARGUMENT.
BaseWeights bindBaseWeights(OpKind op, const Attributes& attributes);
/// The same, and checks that a sum over W's dimension of `length` fits.
BaseWeights bindBaseWeights(const Contract& contract, int64_t length);

}  // namespace fl
