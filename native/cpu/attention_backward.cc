#include "cpu/attention.h"
#include "cpu/ops.h"
#include "cpu/rows.h"

namespace fl::cpu {

void attentionBackward(const OpCall& call) {
  const auto op = AttentionBackwardOp::bind(call);
  const auto work = shareAttention(op.cuSeqlens, op.numHeads);
  if (work.empty()) return;
  const AttentionKernels& kernels = attentionKernels();
  const Mask mask = maskOf(op.dropout);
  const int64_t hidden = op.q.cols();
  ThreadPool& pool = ThreadPool::instance();
  const int64_t scratchBytes = reserveScratch(work, op.headDim, kernels.backwardScratch);
  const auto output = [](const Tensor& t, int64_t at) { return t.present() ? t.as<float>() + at : nullptr; };
  pool.parallelFor(static_cast<int64_t>(work.size()), [&](int64_t chunk, int thread) {
    const AttentionWork& w = work[static_cast<size_t>(chunk)];
    for (int64_t h = w.headBegin; h < w.headEnd; h++) {
      const int64_t at = w.firstRow * hidden + h * op.headDim;
      kernels.backward({{w.length, op.headDim, hidden, static_cast<float>(op.scale), op.q.as<float>() + at,
                         op.k.as<float>() + at, op.v.as<float>() + at, op.dropout.active() ? &mask : nullptr,
                         static_cast<uint32_t>(w.firstRow), static_cast<uint32_t>(h) * 65536, h + 1 < w.headEnd,
                         static_cast<float*>(pool.scratch(thread, scratchBytes))},
                        op.dy.as<float>() + at,
                        op.y.as<float>() + at,
                        rowOf(op.logsumexp, w.firstRow) + h,
                        op.numHeads,
                        output(op.dq, at),
                        output(op.dk, at),
                        output(op.dv, at)});
    }
  });
}

}  // namespace fl::cpu
