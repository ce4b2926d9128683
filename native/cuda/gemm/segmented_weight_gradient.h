// dA_g and dB_g of every segment of a batch: the sums of weight_gradient.h, in its two precisions,
// split for each segment as if it came alone.
#pragma once

#include "cuda/gemm/segments.cuh"
#include "cuda/gemm/weight_gradient.h"

namespace fl::cuda {

/// As for all rows at once, but that p, out and their ranks are those of the segments: p [rows,
/// mostRank] has each segment's dense, out has a block of mostRank * cols for each slot, of which
/// an adapter fills the begin. `sum.rank` is not read; the mask has token indices.
int64_t segmentedPartialCount(const WeightGradient& sum, const Segments& segments);
void runSegmented(const char* op, const WeightGradient& sum, const Segments& segments, float* partials);

}  // namespace fl::cuda
