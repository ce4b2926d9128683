// attentionBackward on the CPU: dq, dk and dv of the heads that attention.h shares out, P
// recomputed from logsumexp. What one head's gradient is made of: attention_kernels.cc, backward().
#include "cpu/attention/attention.h"

#include <algorithm>

#include "cpu/ops.h"
#include "cpu/rows/rows.h"

namespace fl::cpu {

namespace {

/// dk and dv of a sequence that nobody asked anything of.
void clear(const Tensor& t, const AttentionWork& w, int64_t headDim) {
  if (!t.present()) return;
  for (int64_t row = w.firstRow; row < w.firstRow + w.length; row++)
    std::fill(mutableRow(t, row) + w.headBegin * headDim, mutableRow(t, row) + w.headEnd * headDim, 0.0f);
}

}  // namespace

void attentionBackward(const OpCall& call) {
  const auto op = AttentionBackwardOp::bind(call);
  const AttentionShares shares = shareAttention(op.cuSeqlens, op.queryRows, op.numHeads);
  if (shares.work.empty()) return;
  const AttentionKernels& kernels = attentionKernels();
  const Mask mask = maskOf(op.dropout);
  const int64_t hidden = op.q.cols();
  ThreadPool& pool = ThreadPool::instance();
  const int64_t scratchBytes = shares.reserveScratch(op.headDim, kernels.backwardScratch);
  const auto output = [](const Tensor& t, int64_t at) { return t.present() ? t.as<float>() + at : nullptr; };
  pool.parallelFor(static_cast<int64_t>(shares.work.size()), [&](int64_t chunk, int thread) {
    const AttentionWork& w = shares.work[static_cast<size_t>(chunk)];
    if (w.rangeBegin == w.rangeEnd) {
      clear(op.dk, w, op.headDim);
      clear(op.dv, w, op.headDim);
    }
    for (size_t r = w.rangeBegin; r < w.rangeEnd; r++) {
      const QueryRange range = shares.ranges[r];
      for (int64_t h = w.headBegin; h < w.headEnd; h++) {
        const int64_t column = h * op.headDim, at = w.firstRow * hidden + column;
        const int64_t query = range.first * hidden + column;
        kernels.backward(
            {{w.length, range.count, op.headDim, hidden, static_cast<float>(op.scale), op.q.as<float>() + query,
              op.k.as<float>() + at, op.v.as<float>() + at, op.dropout.active() ? &mask : nullptr,
              tokensOf(op.queryRows, range.first), static_cast<uint32_t>(w.firstRow), static_cast<uint32_t>(h) * 65536,
              h + 1 < w.headEnd, static_cast<float*>(pool.scratch(thread, scratchBytes))},
             op.dy.as<float>() + query,
             op.y.as<float>() + query,
             rowOf(op.logsumexp, range.first) + h,
             op.numHeads,
             r > w.rangeBegin,
             output(op.dq, query),
             output(op.dk, at),
             output(op.dv, at)});
      }
    }
  });
}

}  // namespace fl::cpu
