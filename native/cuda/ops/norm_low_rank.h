// addLayerNorm and u = s y A^T of the layers that read its result, in one launch: y is read again
// while it is near. For linear_group.h.
#pragma once

#include "cuda/gemm/low_rank_bf16.h"
#include "ops/add_layer_norm.h"

namespace fl::cuda {

/// Features of a row that one warp normalises.
constexpr int64_t kMostNormCols = 1024;

/// The bits of addLayerNorm, then of run(group). Every x of the group is op.y, of at most
/// kMostNormCols features.
void runNormLowRank(const AddLayerNormOp& op, const LowRankGroup& group);

}  // namespace fl::cuda
