#include "cpu/attention.h"

#include <algorithm>

#include "cpu/isa.h"
#include "cpu/ops.h"
#include "cpu/rows.h"

namespace fl::cpu {

const AttentionKernels& attentionKernels() {
#if defined(__x86_64__)
  switch (selectedIsa()) {
    case Isa::avx512:
      return kAttentionKernelsAvx512;
    case Isa::avx2:
      return kAttentionKernelsAvx2;
    case Isa::portable:
      break;
  }
#endif
  return kAttentionKernelsPortable;
}

std::vector<AttentionWork> shareAttention(const Tensor& cuSeqlens, int64_t numHeads) {
  const auto* starts = cuSeqlens.as<int32_t>();
  const auto lengthOf = [&](int64_t s) { return int64_t{starts[s + 1]} - starts[s]; };
  const int64_t sequences = cuSeqlens.rows() - 1;
  double total = 0;
  for (int64_t s = 0; s < sequences; s++) total += static_cast<double>(lengthOf(s)) * static_cast<double>(lengthOf(s));
  // Eight pieces a thread balance well; heads that follow each other in one piece share cache lines and prefetches.
  const double piece = total * static_cast<double>(numHeads) / (8.0 * ThreadPool::instance().threads());
  std::vector<AttentionWork> work;
  for (int64_t s = 0; s < sequences; s++) {
    const int64_t length = lengthOf(s);
    if (length <= 0) continue;
    const double heads = piece / (static_cast<double>(length) * static_cast<double>(length));
    const int64_t step = std::clamp<int64_t>(static_cast<int64_t>(heads), 1, numHeads);
    for (int64_t h = 0; h < numHeads; h += step) work.push_back({starts[s], length, h, std::min(h + step, numHeads)});
  }
  std::stable_sort(work.begin(), work.end(),
                   [](const AttentionWork& a, const AttentionWork& b) { return a.length > b.length; });
  return work;
}

int64_t reserveScratch(const std::vector<AttentionWork>& work, int64_t headDim,
                       int64_t (*floats)(int64_t length, int64_t headDim)) {
  int64_t most = 0;
  for (const AttentionWork& w : work) most = std::max(most, floats(w.length, headDim));
  ThreadPool& pool = ThreadPool::instance();
  const int64_t bytes = most * static_cast<int64_t>(sizeof(float));
  for (int t = 0; t < pool.threads(); t++) pool.scratch(t, bytes);
  return bytes;
}

void attention(const OpCall& call) {
  const auto op = AttentionOp::bind(call);
  const auto work = shareAttention(op.cuSeqlens, op.numHeads);
  if (work.empty()) return;
  const AttentionKernels& kernels = attentionKernels();
  const Mask mask = maskOf(op.dropout);
  const int64_t hidden = op.q.cols();
  ThreadPool& pool = ThreadPool::instance();
  const int64_t scratchBytes = reserveScratch(work, op.headDim, kernels.forwardScratch);
  pool.parallelFor(static_cast<int64_t>(work.size()), [&](int64_t chunk, int thread) {
    const AttentionWork& w = work[static_cast<size_t>(chunk)];
    for (int64_t h = w.headBegin; h < w.headEnd; h++) {
      const int64_t at = w.firstRow * hidden + h * op.headDim;
      kernels.forward({{w.length, op.headDim, hidden, static_cast<float>(op.scale), op.q.as<float>() + at,
                        op.k.as<float>() + at, op.v.as<float>() + at, op.dropout.active() ? &mask : nullptr,
                        static_cast<uint32_t>(w.firstRow), static_cast<uint32_t>(h) * 65536, h + 1 < w.headEnd,
                        static_cast<float*>(pool.scratch(thread, scratchBytes))},
                       op.y.as<float>() + at,
                       op.logsumexp.present() ? mutableRow(op.logsumexp, w.firstRow) + h : nullptr,
                       op.numHeads});
    }
  });
}

}  // namespace fl::cpu
