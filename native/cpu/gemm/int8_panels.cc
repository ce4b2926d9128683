// Weights quantised by output channel on their way into panels. Rows of x and dy are quantised by
// the kernels (gemm_int8.cc) while a product packs them (product.cc); layouts: int8_kernels.h.
#include "cpu/gemm/int8_panels.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "runtime/int8.h"
#include "runtime/parameter.h"
#include "runtime/thread_pool.h"

namespace fl::cpu {
namespace {

constexpr int64_t kRowsPerPiece = 16;

/// Panels, scales and offsets lie one behind the other.
struct Layout {
  Int8Panels shape;
  int64_t words = 0, scales = 0, offsets = 0;

  Layout(const Int8Kernels& kernels, const Tensor& W, WeightUse use) {
    const bool forward = use == WeightUse::forward;
    shape.k = forward ? W.cols() : W.rows();
    const int64_t unit = kInt8Depth * kernels.unit;
    shape.steps = (shape.k + unit - 1) / unit * kernels.unit;
    shape.columns = forward ? W.rows() : W.cols();
    shape.nr = kernels.nr;
    offsets = shape.count() * shape.nr;
    scales = forward ? offsets : shape.k;
    words = shape.count() * shape.stride();
  }

  int64_t bytes() const { return (words + scales + offsets) * int64_t{4}; }

  /// The view of a copy in `memory`.
  Int8Panels at(const void* memory) const {
    Int8Panels panels = shape;
    panels.data = static_cast<const Word*>(memory);
    panels.scales = reinterpret_cast<const float*>(panels.data + words);
    panels.offsets = reinterpret_cast<const int32_t*>(panels.scales + scales);
    return panels;
  }
};

void fill(const Int8Kernels& kernels, const Tensor& W, WeightUse use, const Layout& layout, void* memory) {
  const float* w = W.as<float>();
  const int64_t rows = W.rows(), cols = W.cols();
  const bool forward = use == WeightUse::forward;
  const Int8Panels& shape = layout.shape;
  auto* words = static_cast<Word*>(memory);
  auto* scales = reinterpret_cast<float*>(words + layout.words);
  auto* offsets = reinterpret_cast<int32_t*>(scales + layout.scales);
  float* inverses = workspace(WorkspaceSlot::weightPanels, rows);
  std::fill_n(scales, layout.scales, 0.0f);
  ThreadPool& pool = ThreadPool::instance();
  pool.parallelFor((rows + kRowsPerPiece - 1) / kRowsPerPiece, [&](int64_t piece, int) {
    for (int64_t n = piece * kRowsPerPiece; n < std::min(rows, (piece + 1) * kRowsPerPiece); n++) {
      const Int8Scale scale = int8ScaleOf(largestOf(w + n * cols, cols));
      scales[n] = scale.scale;
      inverses[n] = scale.inverse;
    }
  });
  pool.parallelFor(shape.count(), [&](int64_t p, int) {
    const int64_t first = p * shape.nr, real = std::min<int64_t>(shape.nr, shape.columns - first);
    Word* to = words + p * shape.stride();
    std::memset(to, 0, static_cast<size_t>(shape.stride()) * sizeof(Word));
    std::memset(offsets + first, 0, static_cast<size_t>(shape.nr) * sizeof(int32_t));
    for (int64_t k = 0; k < shape.k; k++) {
      const int place = 8 * kernels.order[k % kInt8Depth];
      for (int64_t j = 0; j < real; j++) {
        const int64_t n = forward ? first + j : k, at = forward ? n * cols + k : n * cols + first + j;
        const int code = int8CodeOf(w[at], {0, inverses[n]});
        to[k / kInt8Depth * shape.nr + j] |= static_cast<Word>(static_cast<uint8_t>(code)) << place;
        offsets[first + j] += 128 * code;
      }
    }
  });
}

}  // namespace

Int8Weight int8Weight(const Int8Kernels& kernels, const Tensor& W, WeightUse use) {
  const Layout layout(kernels, W, use);
  const auto make = [&](const Tensor& value) -> std::shared_ptr<const void> {
    constexpr std::align_val_t alignment{64};
    const auto bytes = static_cast<size_t>(layout.bytes());
    void* memory = ::operator new(bytes, alignment, std::nothrow);
    if (memory == nullptr) fail("OUT_OF_MEMORY", "no memory for int8 weights (" + std::to_string(bytes) + " bytes)");
    std::shared_ptr<void> owner(memory, [](void* p) { ::operator delete (p, std::align_val_t{64}); });
    fill(kernels, value, use, layout, memory);
    return owner;
  };
  // Of the layout: what differs in it has another key (panels.cc has those of fp32 and bf16).
  const int order = (use == WeightUse::forward ? 0 : 10) + kernels.order[1];
  const int key = 10'000'000 + (order * 100 + kernels.unit) * 1000 + kernels.nr;
  std::shared_ptr<const void> owner = W.parameter == nullptr ? make(W) : W.parameter->derived(key, make);
  const Int8Panels panels = layout.at(owner.get());
  return {&kernels, panels, use, std::move(owner)};
}

}  // namespace fl::cpu
