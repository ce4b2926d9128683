// NF4 weights made once, and their panels made for every job. Formulas: runtime/nf4.cc;
// where panels are used: product.cc.
#include "cpu/gemm/nf4_panels.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "cpu/dispatch.h"
#include "runtime/parameter.h"
#include "runtime/thread_pool.h"

namespace fl::cpu {
namespace {

constexpr int64_t kBlocksPerPiece = 64;
constexpr int64_t kRowsAtOnce = 16;
/// Between expanded rows, as in panels.cc.
constexpr int64_t kNf4Skew = 16;
constexpr int kNf4Key = 20'000'000;

/// Nested scales, mean, codes, codes of the scales: one behind the other.
struct Nf4Layout {
  int64_t count = 0;

  nf4::Weights at(const void* memory) const {
    nf4::Weights weights;
    weights.nested = static_cast<const float*>(memory);
    weights.mean = weights.nested[nf4::nestedOf(count)];
    weights.codes = reinterpret_cast<const uint8_t*>(weights.nested + nf4::nestedOf(count) + 1);
    weights.scaleCodes = weights.codes + (count + 1) / 2;
    return weights;
  }
};

void fill(const Tensor& W, void* memory) {
  const int64_t count = W.count(), blocks = nf4::blocksOf(count);
  const float* w = W.as<float>();
  auto* nested = static_cast<float*>(memory);
  auto* codes = reinterpret_cast<uint8_t*>(nested + nf4::nestedOf(count) + 1);
  uint8_t* scaleCodes = codes + (count + 1) / 2;
  float* scales = workspace(WorkspaceSlot::weightPanels, blocks);
  ThreadPool::instance().parallelFor((blocks + kBlocksPerPiece - 1) / kBlocksPerPiece, [&](int64_t piece, int) {
    for (int64_t b = piece * kBlocksPerPiece; b < std::min(blocks, (piece + 1) * kBlocksPerPiece); b++) {
      const int64_t first = b * nf4::kBlock, length = std::min(nf4::kBlock, count - first);
      scales[b] = nf4::scaleOf(w + first, length);
      nf4::quantiseBlock(w + first, length, scales[b], codes + first / 2);
    }
  });
  nested[nf4::nestedOf(count)] = nf4::quantiseScales(scales, blocks, scaleCodes, nested);
}

// nf4::expand, by the kernels of the instruction set.
void expandValues(const nf4::Weights& weights, int64_t first, int64_t count, float* out) {
  const RowKernels& kernels = rowKernels();
  const int64_t end = first + count;
  if (first % 2 != 0 && first < end) nf4::expand(weights, first++, 1, out++);
  for (int64_t i = first; i < end;) {
    const int64_t block = i / nf4::kBlock, stop = std::min(end, (block + 1) * nf4::kBlock);
    kernels.codedValues(nf4::kValues, weights.codes + i / 2, weights.scaleOf(block), out, stop - i);
    out += stop - i;
    i = stop;
  }
}

}  // namespace

Nf4Weight nf4Weight(const Tensor& W, WeightUse use) {
  const Nf4Layout layout{W.count()};
  const auto make = [&](const Tensor& value) -> std::shared_ptr<const void> {
    constexpr std::align_val_t alignment{64};
    const auto bytes = static_cast<size_t>(nf4::bytesOf(layout.count));
    void* memory = ::operator new(bytes, alignment, std::nothrow);
    if (memory == nullptr) fail("OUT_OF_MEMORY", "no memory for NF4 weights (" + std::to_string(bytes) + " bytes)");
    std::shared_ptr<void> owner(memory, [](void* p) { ::operator delete (p, std::align_val_t{64}); });
    fill(value, memory);
    return owner;
  };
  std::shared_ptr<const void> owner = W.parameter == nullptr ? make(W) : W.parameter->derived(kNf4Key, make);
  const nf4::Weights weights = layout.at(owner.get());
  return {weights, W.rows(), W.cols(), use, std::move(owner)};
}

int64_t nf4PanelWords(const Kernels& kernels, const Nf4Weight& weight, int64_t k) {
  const int64_t steps = stepsOf(kernels, k), nr = kernels.nr;
  if (weight.use == WeightUse::backward) return steps * nr + kRowsAtOnce * nr;
  return steps * nr + nr * (k + kNf4Skew) + (kernels.rightRows == nullptr ? 0 : nr * (steps + kNf4Skew));
}

void nf4Panel(const Kernels& kernels, const Nf4Weight& weight, int64_t column, int64_t k0, int64_t k, Word* memory) {
  const int64_t steps = stepsOf(kernels, k), nr = kernels.nr, first = column * nr;
  const int64_t columns = weight.use == WeightUse::forward ? weight.rows : weight.cols;
  const int64_t real = std::min(nr, columns - first);
  auto* rows = reinterpret_cast<float*>(memory + steps * nr);
  const int64_t filled = filledSteps(kernels, k), zeroFrom = real < nr ? 0 : filled;
  std::memset(memory + zeroFrom * nr, 0, static_cast<size_t>((steps - zeroFrom) * nr) * sizeof(Word));
  if (weight.use == WeightUse::backward) {
    for (int64_t t = 0; t < k; t += kRowsAtOnce) {
      const int64_t count = std::min(kRowsAtOnce, k - t);
      for (int64_t i = 0; i < count; i++)
        expandValues(weight.weights, (k0 + t + i) * weight.cols + first, real, rows + i * nr);
      kernels.rightColumns(rows, nr, real, count, memory + t / kernels.depth * nr, nr);
    }
    return;
  }
  const int64_t ld = k + kNf4Skew;
  for (int64_t j = 0; j < real; j++) expandValues(weight.weights, (first + j) * weight.cols + k0, k, rows + j * ld);
  const Word* words = reinterpret_cast<const Word*>(rows);
  int64_t ldWords = ld;
  if (kernels.rightRows != nullptr) {
    Word* made = memory + steps * nr + nr * ld;
    ldWords = steps + kNf4Skew;
    kernels.rightRows(rows, ld, real, k, made, ldWords);
    words = made;
  }
  kernels.transpose(words, ldWords, real, filled, memory, nr);
}

}  // namespace fl::cpu
