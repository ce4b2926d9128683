// Each thread takes some columns of C and runs over the rows, some of which it packs into the first-level cache at a
// time: there the register tile of the products reads them once for every few rows of C.
#include "cpu/gemm/row_sums.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu/gemm/panels.h"
#include "runtime/thread_pool.h"

namespace fl::cpu {
namespace {

constexpr int64_t kPanelsPerChunk = 3;
constexpr int64_t kStepsAtOnce = 64;

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// a [rows, m] as words, one left panel of m rows.
const Word* leftOf(const Kernels& kernels, const float* a, int64_t m, int64_t rows, Word* memory) {
  if (kernels.leftRows == nullptr) return reinterpret_cast<const Word*>(a);
  kernels.leftColumns(a, m, m, rows, memory, m);
  return memory;
}

void addColumns(const Kernels& kernels, const RowSums& sums, const Word* left, int64_t begin, int64_t end,
                int64_t first, int64_t columns, Word* memory) {
  const int64_t panels = ceilDiv(columns, kernels.nr), groups = ceilDiv(sums.m, kernels.mr);
  const int64_t rowsAtOnce = kStepsAtOnce * kernels.depth, stride = kStepsAtOnce * kernels.nr;
  for (int64_t row = begin; row < end; row += rowsAtOnce) {
    const int64_t rows = std::min(rowsAtOnce, end - row);
    Tile t;
    t.steps0 = stepsOf(kernels, rows);
    t.a = left + (row - begin) / kernels.depth * kernels.leftWords * sums.m;
    t.aStride = sums.m;
    t.bStride = kernels.nr;
    t.ldc = sums.n;
    t.accumulate = true;
    for (int64_t p = 0; p < panels; p++) {
      const int64_t j = first + p * kernels.nr;
      const int64_t width = std::min<int64_t>(kernels.nr, first + columns - j);
      Word* panel = memory + p * stride;
      if (width < kernels.nr) std::memset(panel, 0, static_cast<size_t>(stride) * sizeof(Word));
      kernels.rightColumns(sums.b + row * sums.n + j, sums.n, width, rows, panel, kernels.nr);
      t.columns = static_cast<int>(width);
      t.b0 = panel;
      const Word* a = t.a;
      for (int64_t g = 0; g < groups; g++) {
        const int64_t i = g * sums.m / groups;
        t.rows = static_cast<int>((g + 1) * sums.m / groups - i);
        t.a = a + i;
        t.c = sums.c + i * sums.n + j;
        kernels.tile(t);
      }
      t.a = a;
    }
  }
}

}  // namespace

void addRowSums(const Kernels& kernels, std::initializer_list<RowSums> sums, int64_t begin, int64_t end) {
  if (begin >= end) return;
  ThreadPool& pool = ThreadPool::instance();
  struct Part {
    const RowSums* sums;
    const Word* left;
    int64_t chunks;
  };
  std::vector<Part> parts;
  int64_t chunks = 0, words = 0;
  const int64_t columns = kPanelsPerChunk * kernels.nr;
  for (const RowSums& s : sums) words += s.m;
  Word* memory = kernels.leftRows == nullptr ? nullptr
                                             : wordWorkspace(WorkspaceSlot::rowSumsLeft,
                                                             words * stepsOf(kernels, end - begin) * kernels.leftWords);
  for (const RowSums& s : sums) {
    parts.push_back({&s, leftOf(kernels, s.a + begin * s.m, s.m, end - begin, memory), ceilDiv(s.n, columns)});
    if (memory != nullptr) memory += s.m * stepsOf(kernels, end - begin) * kernels.leftWords;
    chunks += parts.back().chunks;
  }
  pool.parallelFor(chunks, [&](int64_t chunk, int thread) {
    auto part = parts.begin();
    for (; chunk >= part->chunks; ++part) chunk -= part->chunks;
    const int64_t bytes = kPanelsPerChunk * kStepsAtOnce * kernels.nr * static_cast<int64_t>(sizeof(Word));
    const int64_t first = chunk * columns;
    addColumns(kernels, *part->sums, part->left, begin, end, first, std::min(columns, part->sums->n - first),
               static_cast<Word*>(pool.scratch(thread, bytes)));
  });
}

}  // namespace fl::cpu
