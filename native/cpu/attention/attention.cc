// attention on the CPU: heads of sequences shared out among threads by cost, with dropout and with
// queries alone. The gradient is in attention_backward.cc, the arithmetic of one head in
// attention_kernels.cc.
#include "cpu/attention/attention.h"

#include <algorithm>

#include "cpu/ops.h"
#include "cpu/rows/rows.h"

namespace fl::cpu {

AttentionShares shareAttention(const Tensor& cuSeqlens, const Tensor& queryRows, int64_t numHeads) {
  const auto* starts = cuSeqlens.as<int32_t>();
  const int64_t sequences = cuSeqlens.rows() - 1;
  std::vector<std::vector<QueryRange>> rangesOf(static_cast<size_t>(sequences));
  if (!queryRows.present()) {
    for (int64_t s = 0; s < sequences; s++)
      rangesOf[static_cast<size_t>(s)].push_back({starts[s], int64_t{starts[s + 1]} - starts[s]});
  } else {
    const auto* rows = queryRows.as<int32_t>();
    int64_t last = -1;
    for (int64_t i = 0; i < queryRows.rows(); i++) {
      const int64_t s = std::upper_bound(starts, starts + sequences + 1, rows[i]) - starts - 1;
      auto& ranges = rangesOf[static_cast<size_t>(s)];
      if (s == last)
        ranges.back().count++;
      else
        ranges.push_back({i, 1});
      last = s;
    }
  }

  AttentionShares shares;
  std::vector<double> cost;
  double total = 0;
  for (int64_t s = 0; s < sequences; s++) {
    int64_t queries = 0;
    for (const QueryRange& range : rangesOf[static_cast<size_t>(s)]) queries += range.count;
    // A key costs something without a query too: it is packed.
    cost.push_back(static_cast<double>(starts[s + 1] - starts[s]) * static_cast<double>(queries + 1));
    total += cost.back();
  }
  // Eight pieces a thread balance well; heads that follow each other in one piece share cache lines
  // and prefetches.
  const double piece = total * static_cast<double>(numHeads) / (8.0 * ThreadPool::instance().threads());
  for (int64_t s = 0; s < sequences; s++) {
    const int64_t length = starts[s + 1] - starts[s];
    if (length <= 0) continue;
    const auto& ranges = rangesOf[static_cast<size_t>(s)];
    const size_t begin = shares.ranges.size();
    shares.ranges.insert(shares.ranges.end(), ranges.begin(), ranges.end());
    const double heads = piece / cost[static_cast<size_t>(s)];
    const int64_t step = std::clamp<int64_t>(static_cast<int64_t>(heads), 1, numHeads);
    for (int64_t h = 0; h < numHeads; h += step)
      shares.work.push_back({starts[s], length, begin, shares.ranges.size(), h, std::min(h + step, numHeads)});
  }
  std::stable_sort(shares.work.begin(), shares.work.end(),
                   [](const AttentionWork& a, const AttentionWork& b) { return a.length > b.length; });
  return shares;
}

int64_t AttentionShares::reserveScratch(int64_t headDim,
                                        int64_t (*floats)(int64_t length, int64_t queries, int64_t headDim)) const {
  int64_t most = 0;
  for (const AttentionWork& w : work)
    for (size_t r = w.rangeBegin; r < w.rangeEnd; r++)
      most = std::max(most, floats(w.length, ranges[r].count, headDim));
  ThreadPool& pool = ThreadPool::instance();
  const int64_t bytes = most * static_cast<int64_t>(sizeof(float));
  for (int t = 0; t < pool.threads(); t++) pool.scratch(t, bytes);
  return bytes;
}

void attention(const OpCall& call) {
  const auto op = AttentionOp::bind(call);
  const AttentionShares shares = shareAttention(op.cuSeqlens, op.queryRows, op.numHeads);
  if (shares.work.empty()) return;
  const AttentionKernels& kernels = attentionKernels();
  const Mask mask = maskOf(op.dropout);
  const int64_t hidden = op.q.cols();
  ThreadPool& pool = ThreadPool::instance();
  const int64_t scratchBytes = shares.reserveScratch(op.headDim, kernels.forwardScratch);
  pool.parallelFor(static_cast<int64_t>(shares.work.size()), [&](int64_t chunk, int thread) {
    const AttentionWork& w = shares.work[static_cast<size_t>(chunk)];
    for (size_t r = w.rangeBegin; r < w.rangeEnd; r++) {
      const QueryRange range = shares.ranges[r];
      for (int64_t h = w.headBegin; h < w.headEnd; h++) {
        const int64_t column = h * op.headDim, at = w.firstRow * hidden + column;
        kernels.forward({{w.length, range.count, op.headDim, hidden, static_cast<float>(op.scale),
                          rowOf(op.q, range.first) + column, op.k.as<float>() + at, op.v.as<float>() + at,
                          op.dropout.active() ? &mask : nullptr, tokensOf(op.queryRows, range.first),
                          static_cast<uint32_t>(w.firstRow), static_cast<uint32_t>(h) * 65536, h + 1 < w.headEnd,
                          static_cast<float*>(pool.scratch(thread, scratchBytes))},
                         mutableRow(op.y, range.first) + column,
                         op.logsumexp.present() ? mutableRow(op.logsumexp, range.first) + h : nullptr,
                         op.numHeads});
      }
    }
  });
}

}  // namespace fl::cpu
