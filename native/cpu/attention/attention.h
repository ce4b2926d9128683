// How attention and its gradient share out their work: heads of one sequence, cut by cost.
// attention.cc and attention_backward.cc run it; attention_kernels.h is what a thread calls for a
// head.
#pragma once

#include <vector>

#include "cpu/attention/attention_kernels.h"
#include "ops/attention.h"

namespace fl::cpu {

/// Queries [first, first + count) lie in one sequence.
struct QueryRange {
  int64_t first, count;
};

/// Heads headBegin .. headEnd of one sequence.
struct AttentionWork {
  int64_t firstRow, length;
  /// Of AttentionShares::ranges: one or, where the rows of queries are in no order, more; none
  /// without queries.
  size_t rangeBegin, rangeEnd;
  int64_t headBegin, headEnd;
};

struct AttentionShares {
  /// Every head of every sequence once, the most expensive first: a thread that is done early takes
  /// what is left.
  std::vector<AttentionWork> work;
  std::vector<QueryRange> ranges;

  /// Gives every thread of the pool scratch memory for any of the work; returns its size in bytes.
  int64_t reserveScratch(int64_t headDim, int64_t (*floats)(int64_t length, int64_t queries, int64_t headDim)) const;
};

/// queryRows as in ops/attention.h.
AttentionShares shareAttention(const Tensor& cuSeqlens, const Tensor& queryRows, int64_t numHeads);

/// The tokens of a range's queries; null where query i is token i.
inline const int32_t* tokensOf(const Tensor& queryRows, int64_t first) {
  return queryRows.present() ? queryRows.as<int32_t>() + first : nullptr;
}

}  // namespace fl::cpu
