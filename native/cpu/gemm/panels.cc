// Packing: rows of a left operand as words, a right operand as panels, a frozen weight once for all
// steps. The layouts are described in kernels.h, what callers get in panels.h.
#include "cpu/gemm/panels.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "runtime/parameter.h"
#include "runtime/thread_pool.h"

namespace fl::cpu {
namespace {

constexpr int64_t kRowsPerChunk = 16;
/// Between converted rows, so that they do not lie a multiple of 4096 bytes apart.
constexpr int64_t kSkew = 16;

Panels shapeOf(const Kernels& kernels, const Tensor& W, WeightUse use) {
  return use == WeightUse::forward ? Panels(kernels, W.cols(), W.rows()) : Panels(kernels, W.rows(), W.cols());
}

/// The steps of a panel from `filled` on, which hold nothing of k.
void zeroSteps(const Panels& shape, Word* panel, int64_t filled) {
  std::memset(panel + filled * shape.nr, 0, static_cast<size_t>((shape.steps - filled) * shape.nr) * sizeof(Word));
}

/// Panel p of out from w [columns, k] row-major, some of k at a time (the layout of x W^T).
void packPanelFromRows(const Kernels& kernels, const float* w, int64_t ldw, const Panels& shape, int64_t p, Word* out,
                       int thread) {
  const int64_t first = p * shape.nr, real = std::min<int64_t>(shape.nr, shape.columns - first);
  Word* panel = out + p * shape.stride();
  const int64_t filled = filledSteps(kernels, shape.k);
  if (real < shape.nr) std::memset(panel, 0, static_cast<size_t>(shape.stride()) * sizeof(Word));
  zeroSteps(shape, panel, filled);
  if (kernels.rightRows == nullptr) {
    kernels.transpose(reinterpret_cast<const Word*>(w + first * ldw), ldw, real, filled, panel, shape.nr);
    return;
  }
  constexpr int64_t stepsAtOnce = 256, ld = stepsAtOnce + kSkew;
  auto* rows =
      static_cast<Word*>(ThreadPool::instance().scratch(thread, shape.nr * ld * static_cast<int64_t>(sizeof(Word))));
  for (int64_t step = 0; step < filled; step += stepsAtOnce) {
    const int64_t steps = std::min(stepsAtOnce, filled - step), k0 = step * kernels.depth;
    kernels.rightRows(w + first * ldw + k0, ldw, real, std::min(steps * kernels.depth, shape.k - k0), rows, ld);
    kernels.transpose(rows, ld, real, steps, panel + step * shape.nr, shape.nr);
  }
}

void pack(const Kernels& kernels, const Tensor& W, WeightUse use, const Panels& shape, Word* out) {
  const float* w = W.as<float>();
  ThreadPool& pool = ThreadPool::instance();
  if (use == WeightUse::forward) {
    pool.parallelFor(shape.count(),
                     [&](int64_t p, int thread) { packPanelFromRows(kernels, w, W.cols(), shape, p, out, thread); });
    return;
  }
  pool.parallelFor((shape.k + kRowsPerChunk - 1) / kRowsPerChunk, [&](int64_t chunk, int) {
    const int64_t begin = chunk * kRowsPerChunk;
    packPanelsFromColumns(kernels, w, W.cols(), shape, begin, std::min(shape.k, begin + kRowsPerChunk), out);
  });
}

}  // namespace

void packPanelsFromColumns(const Kernels& kernels, const float* w, int64_t ldw, const Panels& shape, int64_t t0,
                           int64_t t1, Word* out) {
  for (int64_t p = 0; p < shape.count(); p++) {
    const int64_t first = p * shape.nr, real = std::min<int64_t>(shape.nr, shape.columns - first);
    Word* to = out + p * shape.stride() + t0 / kernels.depth * shape.nr;
    if (real < shape.nr)
      std::memset(to, 0, static_cast<size_t>(filledSteps(kernels, t1 - t0) * shape.nr) * sizeof(Word));
    if (t1 == shape.k) zeroSteps(shape, out + p * shape.stride(), filledSteps(kernels, t1));
    kernels.rightColumns(w + t0 * ldw + first, ldw, real, t1 - t0, to, shape.nr);
  }
}

void packTogether(const Kernels& kernels, const std::vector<Packing>& weights) {
  std::vector<int64_t> firstPanel{0};
  for (const Packing& each : weights) firstPanel.push_back(firstPanel.back() + each.shape.count());
  ThreadPool::instance().parallelFor(firstPanel.back(), [&](int64_t panel, int thread) {
    const auto after = std::upper_bound(firstPanel.begin(), firstPanel.end(), panel);
    const auto i = static_cast<size_t>(after - firstPanel.begin()) - 1;
    const Packing& each = weights[i];
    packPanelFromRows(kernels, each.w, each.shape.k, each.shape, panel - firstPanel[i], each.out, thread);
  });
}

int64_t leftRowsWords(const Kernels& kernels, int64_t rows, int64_t k) {
  return kernels.leftRows == nullptr ? 0 : rows * (stepsOf(kernels, k) * kernels.leftWords + kSkew);
}

LeftRows leftRows(const Kernels& kernels, const float* x, int64_t ldx, int64_t rows, int64_t k, Word* memory) {
  const int64_t words = stepsOf(kernels, k) * kernels.leftWords;
  if (kernels.leftRows == nullptr) return {reinterpret_cast<const Word*>(x), ldx, words};
  kernels.leftRows(x, ldx, rows, k, memory, words + kSkew);
  const int64_t filled = filledSteps(kernels, k) * kernels.leftWords;
  if (filled < words)
    for (int64_t i = 0; i < rows; i++)
      std::memset(memory + i * (words + kSkew) + filled, 0, static_cast<size_t>(words - filled) * sizeof(Word));
  return {memory, words + kSkew, words};
}

void packLeftPanel(const Kernels& kernels, const float* x, int64_t ldx, int64_t rows, int64_t k, Word* memory,
                   Word* out) {
  if (kernels.leftPanelRows != nullptr) return kernels.leftPanelRows(x, ldx, rows, k, out);
  const LeftRows from = leftRows(kernels, x, ldx, rows, k, memory);
  kernels.transpose(from.data, from.ld, rows, from.words, out, rows);
}

WeightPanels weightPanels(const Kernels& kernels, const Tensor& W, WeightUse use, WorkspaceSlot slot) {
  WeightPanels result;
  result.panels = shapeOf(kernels, W, use);
  const Panels& shape = result.panels;
  if (W.parameter == nullptr) {
    Word* data = wordWorkspace(slot, shape.words());
    pack(kernels, W, use, shape, data);
    result.panels.data = data;
    return result;
  }
  // Of the layout: what differs in it has another key.
  const int key = (((use == WeightUse::forward ? 0 : 1) * 10 + kernels.depth) * 100 + kernels.unit) * 1000 + shape.nr;
  result.owner = W.parameter->derived(key, [&](const Tensor& value) -> std::shared_ptr<const void> {
    constexpr std::align_val_t alignment{64};
    const size_t bytes = static_cast<size_t>(shape.words()) * sizeof(Word);
    void* memory = ::operator new(bytes, alignment, std::nothrow);
    if (memory == nullptr)
      fail("OUT_OF_MEMORY",
           "no memory for a packed copy of " + W.parameter->name() + " (" + std::to_string(bytes) + " bytes)");
    std::shared_ptr<void> owner(memory, [](void* p) { ::operator delete (p, std::align_val_t{64}); });
    pack(kernels, value, use, shape, static_cast<Word*>(memory));
    return owner;
  });
  result.panels.data = static_cast<const Word*>(result.owner.get());
  return result;
}

}  // namespace fl::cpu
