// How attention and its gradient share out their work.
#pragma once

#include <vector>

#include "cpu/attention_kernels.h"
#include "ops/attention.h"

namespace fl::cpu {

/// Heads headBegin .. headEnd of one sequence, of at least one token.
struct AttentionWork {
  int64_t firstRow, length;
  int64_t headBegin, headEnd;
};

/// Every head of every sequence once, the longest sequences first: a thread that is done early takes what is left.
std::vector<AttentionWork> shareAttention(const Tensor& cuSeqlens, int64_t numHeads);

/// Gives every thread of the pool scratch memory for any of the work (a longer sequence may need less); returns its
/// size.
int64_t reserveScratch(const std::vector<AttentionWork>& work, int64_t headDim,
                       int64_t (*floats)(int64_t length, int64_t headDim));

}  // namespace fl::cpu
