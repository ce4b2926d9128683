// Right operands in the layout of the tiles: panels of `nr` columns, k-major, the last panel filled with zeros.
#pragma once

#include <cstdint>
#include <memory>

#include "cpu/gemm/workspace.h"
#include "runtime/tensor.h"

namespace fl::cpu {

/// A view: element (t, j) of panel p is data[p * stride + t * nr + j].
struct PanelsF32 {
  const float* data = nullptr;
  int64_t k = 0, columns = 0;
  int nr = 0;

  int64_t count() const { return (columns + nr - 1) / nr; }
  int64_t stride() const { return k * nr; }
  const float* panel(int64_t p) const { return data + p * stride(); }
  static int64_t floats(int64_t k, int64_t columns, int nr) { return (columns + nr - 1) / nr * nr * k; }
};

/// Panel p of out from w [columns, k] row-major (columns become columns: the layout of x W^T).
void packPanelFromRows(const float* w, int64_t ldw, const PanelsF32& shape, int64_t p, float* out);
/// Rows [t0, t1) of all panels of out from w [k, columns] row-major (the layout of dy W).
void packPanelsFromColumns(const float* w, int64_t ldw, const PanelsF32& shape, int64_t t0, int64_t t1, float* out);

/// Which product of a weight W [N, K].
enum class WeightUse {
  /// x W^T: k = K, columns = N.
  forward,
  /// dy W: k = N, columns = K.
  backward
};

/// Panels of a weight, and what keeps them alive.
struct WeightPanels {
  PanelsF32 panels;
  std::shared_ptr<const void> owner;
};

/// The copy kept with W's parameter (made when missing or older than its value), or, for a tensor without one, a copy
/// in `slot` of the workspace. Not inside a parallel region.
WeightPanels weightPanels(const Tensor& W, WeightUse use, WorkspaceSlot slot);

}  // namespace fl::cpu
