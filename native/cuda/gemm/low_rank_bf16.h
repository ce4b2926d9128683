// u = s (mask x) A^T and v = s dy B on tensor cores, results in fp32, for
// cuda/ops/lora_linear_bf16.cu and segmented_lora_linear_bf16.cu. The fp32 form: low_rank_f32.cuh.
#pragma once

#include "cuda/gemm/cast_copies.cuh"
#include "cuda/gemm/segments.cuh"
#include "cuda/ops/mask.cuh"

namespace fl::cuda {

/// out[row, i] = scaling * sum_k bf16(mask(row, k) x[row, k]) bf16(factor(k, i))
struct LowRankBf16 {
  int64_t rows = 0;
  int depth = 0, rank = 0;
  const float* x = nullptr;  // [rows, depth]
  Mask mask;
  /// [rank, depth] (A) where `depthContiguous`, else [depth, rank] (B).
  const float* factor = nullptr;
  bool depthContiguous = true;
  float scaling = 1;
  float* out = nullptr;  // [rows, rank]
  /// out in bf16 too, as Cast lays it out, where the product that follows reads it so.
  uint16_t* rounded = nullptr;
  /// What the large product that follows reads in bf16, cast in the same launch: the adapter's
  /// other factor, x on compute capability 9.0.
  Casts casts;
};

/// Several in one launch.
struct LowRankGroup {
  static constexpr int kMost = 3;
  int count = 0;
  LowRankBf16 each[kMost];
};
void run(const char* op, const LowRankGroup& group);
void run(const char* op, const LowRankBf16& product);

/// The same for rows in segments: x and out of all rows, factor with a block of mostRank * depth
/// for each slot, out [rows, mostRank] with each segment's dense. `rank` and `scaling` are not
/// read.
struct SegmentedLowRankBf16 {
  LowRankBf16 whole;
  Segments segments;
  /// B_g [slotRows, r_g] of every slot for a product nt, cast in the same launch; none where
  /// slotRows is 0.
  int64_t slotRows = 0;
  const float* B = nullptr;
  uint16_t* castB = nullptr;  // a block of slotRows * paddedColsBf16(mostRank) for each slot
};

void run(const char* op, const SegmentedLowRankBf16& product);

}  // namespace fl::cuda
