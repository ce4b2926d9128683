#include "cpu/gemm/low_rank.h"

#include <algorithm>

#include "runtime/thread_pool.h"

namespace fl::cpu {
namespace {

/// From here on tiles are faster: their columns are a multiple of nr, dot products have the rank's.
constexpr int64_t kTileRank = 24;

/// B [n, rank] as [rank, n] in the workspace.
const float* transposed(const Kernels& kernels, const Tensor& B) {
  const int64_t n = B.rows(), rank = B.cols();
  float* out = workspace(WorkspaceSlot::transposed, n * rank);
  constexpr int64_t columns = 64;
  ThreadPool::instance().parallelFor((n + columns - 1) / columns, [&](int64_t piece, int) {
    const int64_t begin = piece * columns, count = std::min(columns, n - begin);
    kernels.transpose(reinterpret_cast<const Word*>(B.as<float>() + begin * rank), rank, count, rank,
                      reinterpret_cast<Word*>(out + begin), n);
  });
  return out;
}

}  // namespace

LowRank lowRank(const Kernels& kernels, const Tensor& adapter, WeightUse use, float scale) {
  LowRank low;
  const bool forward = use == WeightUse::forward;
  low.rank = forward ? adapter.rows() : adapter.cols();
  low.scale = scale;
  if (low.rank >= kTileRank) {
    Tensor values = adapter;
    values.parameter = nullptr;
    low.panels = weightPanels(kernels, values, use, WorkspaceSlot::lowRows).panels;
    return low;
  }
  const int64_t k = forward ? adapter.cols() : adapter.rows();
  const float* rows = forward ? adapter.as<float>() : transposed(kernels, adapter);
  Word* memory = wordWorkspace(WorkspaceSlot::lowRows, leftRowsWords(kernels, low.rank, k));
  low.rows = leftRows(kernels, rows, k, low.rank, k, memory);
  return low;
}

void lowRankByDots(const Kernels& kernels, const LowRank& low, const LeftRows& x, int64_t m, float* u) {
  kernels.dots(x.data, x.ld, m, low.rows.data, low.rows.ld, low.rank, x.words, low.scale, u, low.rank);
}

void lowRankByTiles(const Kernels& kernels, const LowRank& low, const LowRankSteps& x, float* u) {
  Tile t;
  t.rows = x.m;
  t.a = x.panel;
  t.aStride = x.m;
  t.bStride = kernels.nr;
  t.steps0 = x.steps;
  t.ldc = low.rank;
  t.accumulate = !x.first;
  for (int64_t p = 0; p < low.panels.count(); p++) {
    const int64_t j = p * kernels.nr;
    t.b0 = low.panels.panel(p) + x.firstStep * kernels.nr;
    t.columns = static_cast<int>(std::min<int64_t>(kernels.nr, low.rank - j));
    t.c = u + j;
    kernels.tile(t);
  }
  if (x.last)
    for (int64_t i = 0; i < x.m * low.rank; i++) u[i] *= low.scale;
}

void lowRankInput(const Kernels& kernels, const LowRank& low, const float* x, int64_t rows, int64_t k, float* u) {
  ThreadPool& pool = ThreadPool::instance();
  const int64_t rowsAtOnce = kernels.mr;
  pool.parallelFor((rows + rowsAtOnce - 1) / rowsAtOnce, [&](int64_t piece, int thread) {
    const int64_t begin = piece * rowsAtOnce, count = std::min(rowsAtOnce, rows - begin);
    const int64_t steps = stepsOf(kernels, k), panelWords = low.byTiles() ? count * steps * kernels.leftWords : 0;
    const int64_t words = panelWords + leftRowsWords(kernels, count, k);
    auto* panel = static_cast<Word*>(pool.scratch(thread, words * static_cast<int64_t>(sizeof(Word))));
    const LeftRows left = leftRows(kernels, x + begin * k, k, count, k, panel + panelWords);
    float* to = u + begin * low.rank;
    if (!low.byTiles()) return lowRankByDots(kernels, low, left, count, to);
    kernels.transpose(left.data, left.ld, count, left.words, panel, count);
    lowRankByTiles(kernels, low, {panel, static_cast<int>(count), 0, steps}, to);
  });
}

}  // namespace fl::cpu
