// Gradients of thin weights over rows of the batch: each thread takes some columns of C for all
// rows at once. The sums of one thread are in weight_gradient.inc, dW of whole layers goes through
// product.cc.
#include "cpu/gemm/weight_gradient.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu/gemm/panels.h"
#include "runtime/thread_pool.h"

namespace fl::cpu {
namespace {

constexpr int64_t kColumnsPerChunk = 192;

int64_t piecesOf(int64_t count, int64_t each) { return (count + each - 1) / each; }
int64_t leftStrideOf(const Kernels& kernels, int64_t m) {
  return piecesOf(m, kernels.weightGradientUnit) * kernels.weightGradientUnit;
}

}  // namespace

void addWeightGradients(const Kernels& kernels, std::initializer_list<WeightGradient> sums, int64_t begin,
                        int64_t end) {
  if (begin >= end) return;
  const int64_t rows = end - begin, lines = stepsOf(kernels, rows) * kernels.leftWords;
  struct Part {
    WeightGradientBlock block;
    int64_t chunks, n;
  };
  std::vector<Part> parts;
  int64_t chunks = 0, words = 0;
  for (const WeightGradient& s : sums) words += lines * leftStrideOf(kernels, s.m);
  Word* memory = wordWorkspace(WorkspaceSlot::weightGradientLeft, words);
  for (const WeightGradient& s : sums) {
    WeightGradientBlock block;
    block.left = memory;
    block.leftStride = leftStrideOf(kernels, s.m);
    block.m = static_cast<int>(s.m);
    block.b = s.b + begin * s.n;
    block.ldb = block.ldc = s.n;
    block.rows = rows;
    block.c = s.c;
    const float* a = s.a + begin * s.m;
    if (kernels.leftRows == nullptr && block.leftStride == s.m) {
      block.left = reinterpret_cast<const Word*>(a);  // fp32, and nothing to fill up
    } else {
      if (s.m < block.leftStride) std::memset(memory, 0, static_cast<size_t>(lines * block.leftStride) * sizeof(Word));
      kernels.gradientLeft(a, s.m, s.m, rows, memory, block.leftStride);
      memory += lines * block.leftStride;
    }
    parts.push_back({block, piecesOf(s.n, kColumnsPerChunk), s.n});
    chunks += parts.back().chunks;
  }
  ThreadPool::instance().parallelFor(chunks, [&](int64_t chunk, int) {
    auto part = parts.begin();
    for (; chunk >= part->chunks; ++part) chunk -= part->chunks;
    const int64_t first = chunk * kColumnsPerChunk;
    WeightGradientBlock block = part->block;
    block.b += first;
    block.c += first;
    block.columns = std::min(kColumnsPerChunk, part->n - first);
    kernels.weightGradient(block);
  });
}

}  // namespace fl::cpu
