// Operands in the layout of the tiles (kernels.h): right operands as panels of `nr` columns, the
// last panel filled with zeros; rows of left operands as words.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cpu/gemm/workspace.h"
#include "ops/op.h"

namespace fl::cpu {

/// Steps of a product over k, and those of them that hold elements of k: zeros follow.
inline int64_t filledSteps(const Kernels& kernels, int64_t k) { return (k + kernels.depth - 1) / kernels.depth; }
inline int64_t stepsOf(const Kernels& kernels, int64_t k) {
  return (filledSteps(kernels, k) + kernels.unit - 1) / kernels.unit * kernels.unit;
}

/// A view: step s of column j of panel p is data[p * stride + s * nr + j].
struct Panels {
  const Word* data = nullptr;
  /// Rows of the operand, and the steps they make.
  int64_t k = 0, steps = 0;
  int64_t columns = 0;
  int nr = 0;

  Panels() = default;
  Panels(const Kernels& kernels, int64_t rows, int64_t cols)
      : k(rows), steps(stepsOf(kernels, rows)), columns(cols), nr(kernels.nr) {}

  int64_t count() const { return (columns + nr - 1) / nr; }
  int64_t stride() const { return steps * nr; }
  const Word* panel(int64_t p) const { return data + p * stride(); }
  int64_t words() const { return count() * stride(); }
};

/// Rows [t0, t1) of all panels of out from w [k, columns] row-major (the layout of dy W); t0 a
/// multiple of depth, and t1 too or k.
void packPanelsFromColumns(const Kernels& kernels, const float* w, int64_t ldw, const Panels& shape, int64_t t0,
                           int64_t t1, Word* out);

/// Rows of a left operand, `words` long and `ld` apart.
struct LeftRows {
  const Word* data = nullptr;
  int64_t ld = 0, words = 0;
};
/// As they are in fp32, else converted to `memory` of leftRowsWords().
int64_t leftRowsWords(const Kernels& kernels, int64_t rows, int64_t k);
LeftRows leftRows(const Kernels& kernels, const float* x, int64_t ldx, int64_t rows, int64_t k, Word* memory);

/// A left panel of at most mr rows, by way of `memory` of leftRowsWords().
void packLeftPanel(const Kernels& kernels, const float* x, int64_t ldx, int64_t rows, int64_t k, Word* memory,
                   Word* out);

/// Which product of a weight W [N, K].
enum class WeightUse {
  /// x W^T: k = K, columns = N.
  forward,
  /// dy W: k = N, columns = K.
  backward
};

/// A weight W [columns, k] row-major on its way into panels for x W^T, at `out`.
struct Packing {
  const float* w = nullptr;
  Panels shape;
  Word* out = nullptr;
};
/// Several of them in one parallel region: where each is small, as adapters are, waiting for the
/// threads costs more than the work.
void packTogether(const Kernels& kernels, const std::vector<Packing>& weights);

/// Panels of a weight, and what keeps them alive.
struct WeightPanels {
  Panels panels;
  std::shared_ptr<const void> owner;
};

/// The copy kept with W's parameter (made when missing or older than its value), or, for a tensor
/// without one, a copy in `slot` of the workspace. Not inside a parallel region.
WeightPanels weightPanels(const Kernels& kernels, const Tensor& W, WeightUse use, WorkspaceSlot slot);

}  // namespace fl::cpu
