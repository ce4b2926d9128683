// Self-attention of one head of one sequence, forward and backward: what attention_kernels.cc
// computes, once for each instruction set, and cpu/dispatch.h chooses. Plain types only, as in
// cpu/gemm/kernels.h.
#pragma once

#include <stdint.h>

#include "cpu/simd/mask.h"

namespace fl::cpu {

/// k and v are at the sequence's first row, q, y and dy at its first query, all at the head's first
/// column; `stride` floats lie between rows.
struct AttentionHead {
  int64_t length;   // L, at least 1
  int64_t queries;  // rows of q, at least 1
  int64_t headDim;  // D
  int64_t stride;   // H
  float scale;
  const float *q, *k, *v;
  /// Null without dropout. Mask of P[i, j]: token = tokens[i] or, without tokens, firstToken + i;
  /// feature = firstFeature + j.
  const Mask* mask;
  const int32_t* tokens;
  uint32_t firstToken, firstFeature;
  /// The caller goes on with the next head, headDim floats further: its operands are prefetched on
  /// the way.
  bool another;
  /// scratchFloats() floats, 64-byte aligned.
  float* scratch;
};

struct AttentionForward {
  AttentionHead head;
  float* y;
  /// Null, or at the first query and this head, `statsStride` floats between rows.
  float* logsumexp;
  int64_t statsStride;
};

struct AttentionBackward {
  AttentionHead head;
  const float *dy, *y, *logsumexp;
  int64_t statsStride;
  /// dk and dv are added to: the sequence has queries elsewhere too.
  bool accumulate;
  /// Any may be null.
  float *dq, *dk, *dv;
};

struct AttentionKernels {
  int64_t (*forwardScratch)(int64_t length, int64_t queries, int64_t headDim);
  void (*forward)(const AttentionForward&);
  int64_t (*backwardScratch)(int64_t length, int64_t queries, int64_t headDim);
  void (*backward)(const AttentionBackward&);
};

// The compiled copies (cpu/dispatch.h).
namespace portable {
extern const AttentionKernels kAttentionKernels;
}
namespace avx2 {
extern const AttentionKernels kAttentionKernels;
}
namespace avx512 {
extern const AttentionKernels kAttentionKernels;
}

}  // namespace fl::cpu
