// u and v of LoRA for some rows at a time: by dot products or by register tiles, whichever suits
// the rank. low_rank.h has the formulas; product.cc asks for u while it packs the rows of x.
#include "cpu/gemm/low_rank.h"

#include <algorithm>

#include "runtime/thread_pool.h"

namespace fl::cpu {
namespace {

void scaleRows(float* u, int64_t count, float scale) {
  for (int64_t i = 0; i < count; i++) u[i] *= scale;
}

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
  if (low.rank >= kernels.tileRank) {
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

void lowRankByDots(const Kernels& kernels, const LowRank& low, const LowRankSteps& steps, const LeftRows& x, int m,
                   float* u) {
  const Word* rows = low.rows.data + steps.begin * kernels.leftWords;
  kernels.dots(x.data, x.ld, m, rows, low.rows.ld, low.rank, x.words, !steps.first, u, low.rank);
  if (steps.last) scaleRows(u, m * low.rank, low.scale);
}

void lowRankByTiles(const Kernels& kernels, const LowRank& low, const LowRankSteps& steps,
                    std::span<const LowRankPanel> rows) {
  const int64_t count = low.panels.count();
  Tile t(low.panels.data, 0);
  t.steps0 = steps.count;
  t.ldc = t.ldStart = low.rank;
  for (int64_t p = 0; p < count; p++) {
    const int64_t j = p * kernels.nr;
    t.b0 = low.panels.panel(p) + steps.begin * kernels.nr;
    // All row panels use these panels, so that they are in the L2 cache but for the first time.
    t.prefetch = reinterpret_cast<const char*>(t.b0);
    t.columns = static_cast<int>(std::min<int64_t>(kernels.nr, low.rank - j));
    for (const LowRankPanel& panel : rows) {
      t.a = panel.left;
      t.rows = panel.rows;
      t.c = panel.u + j;
      t.start = steps.first ? nullptr : t.c;
      kernels.tile(t);
    }
  }
  if (steps.last)
    for (const LowRankPanel& panel : rows) scaleRows(panel.u, panel.rows * low.rank, low.scale);
}

int64_t lowRankRowsWords(const Kernels& kernels, const LowRank& low, int64_t rows, int64_t k) {
  const int64_t panel = low.byTiles() ? rows * stepsOf(kernels, k) * kernels.leftWords : 0;
  return panel + leftRowsWords(kernels, rows, k);
}

void lowRankRows(const Kernels& kernels, const LowRank& low, const float* x, int64_t ldx, int64_t rows, int64_t k,
                 Word* memory, float* u) {
  const int64_t steps = stepsOf(kernels, k);
  const auto m = static_cast<int>(rows);
  if (!low.byTiles()) return lowRankByDots(kernels, low, {0, steps}, leftRows(kernels, x, ldx, rows, k, memory), m, u);
  packLeftPanel(kernels, x, ldx, rows, k, memory + rows * steps * kernels.leftWords, memory);
  const LowRankPanel panel{memory, m, u};
  lowRankByTiles(kernels, low, {0, steps}, {&panel, 1});
}

void lowRankInput(const Kernels& kernels, const LowRank& low, const float* x, int64_t rows, int64_t k, float* u) {
  ThreadPool& pool = ThreadPool::instance();
  const int64_t rowsAtOnce = kernels.mr;
  pool.parallelFor((rows + rowsAtOnce - 1) / rowsAtOnce, [&](int64_t piece, int thread) {
    const int64_t begin = piece * rowsAtOnce, count = std::min(rowsAtOnce, rows - begin);
    const int64_t words = lowRankRowsWords(kernels, low, count, k);
    auto* memory = static_cast<Word*>(pool.scratch(thread, words * static_cast<int64_t>(sizeof(Word))));
    lowRankRows(kernels, low, x + begin * k, k, count, k, memory, u + begin * low.rank);
  });
}

}  // namespace fl::cpu
