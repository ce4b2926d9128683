#include "cpu/gemm/panels.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "cpu/gemm/select.h"
#include "runtime/parameter.h"
#include "runtime/thread_pool.h"

namespace fl::cpu {
namespace {

constexpr int64_t kRowsPerChunk = 16;

PanelsF32 shapeOf(const Tensor& W, WeightUse use) {
  PanelsF32 p;
  p.nr = kernelsF32().nr;
  p.k = use == WeightUse::forward ? W.cols() : W.rows();
  p.columns = use == WeightUse::forward ? W.rows() : W.cols();
  return p;
}

void pack(const Tensor& W, WeightUse use, const PanelsF32& shape, float* out) {
  const float* w = W.as<float>();
  ThreadPool& pool = ThreadPool::instance();
  if (use == WeightUse::forward) {
    pool.parallelFor(shape.count(), [&](int64_t p, int) { packPanelFromRows(w, W.cols(), shape, p, out); });
    return;
  }
  pool.parallelFor((shape.k + kRowsPerChunk - 1) / kRowsPerChunk, [&](int64_t chunk, int) {
    const int64_t begin = chunk * kRowsPerChunk;
    packPanelsFromColumns(w, W.cols(), shape, begin, std::min(shape.k, begin + kRowsPerChunk), out);
  });
}

}  // namespace

void packPanelFromRows(const float* w, int64_t ldw, const PanelsF32& shape, int64_t p, float* out) {
  const int64_t first = p * shape.nr, real = std::min<int64_t>(shape.nr, shape.columns - first);
  float* panel = out + p * shape.stride();
  if (real < shape.nr) std::memset(panel, 0, static_cast<size_t>(shape.stride()) * sizeof(float));
  kernelsF32().packRows(w + first * ldw, ldw, real, shape.k, panel, shape.nr);
}

void packPanelsFromColumns(const float* w, int64_t ldw, const PanelsF32& shape, int64_t t0, int64_t t1, float* out) {
  const KernelsF32& kernels = kernelsF32();
  for (int64_t p = 0; p < shape.count(); p++) {
    const int64_t first = p * shape.nr, real = std::min<int64_t>(shape.nr, shape.columns - first);
    float* to = out + p * shape.stride() + t0 * shape.nr;
    if (real < shape.nr) std::memset(to, 0, static_cast<size_t>((t1 - t0) * shape.nr) * sizeof(float));
    kernels.packColumns(w + t0 * ldw + first, ldw, real, t1 - t0, to, shape.nr);
  }
}

WeightPanels weightPanels(const Tensor& W, WeightUse use, WorkspaceSlot slot) {
  WeightPanels result;
  result.panels = shapeOf(W, use);
  const PanelsF32& shape = result.panels;
  const int64_t floats = PanelsF32::floats(shape.k, shape.columns, shape.nr);
  if (W.parameter == nullptr) {
    float* data = workspace(slot, floats);
    pack(W, use, shape, data);
    result.panels.data = data;
    return result;
  }
  const int key = (use == WeightUse::forward ? 0 : 1) * 1000 + shape.nr;
  result.owner = W.parameter->derived(key, [&](const Tensor& value) -> std::shared_ptr<const void> {
    constexpr std::align_val_t alignment{64};
    void* memory = ::operator new(static_cast<size_t>(floats) * sizeof(float), alignment, std::nothrow);
    if (memory == nullptr)
      fail("OUT_OF_MEMORY", "no memory for a packed copy of " + W.parameter->name() + " (" +
                                std::to_string(floats * static_cast<int64_t>(sizeof(float))) + " bytes)");
    std::shared_ptr<void> owner(memory, [](void* p) { ::operator delete (p, std::align_val_t{64}); });
    pack(value, use, shape, static_cast<float*>(memory));
    return owner;
  });
  result.panels.data = static_cast<const float*>(result.owner.get());
  return result;
}

}  // namespace fl::cpu
