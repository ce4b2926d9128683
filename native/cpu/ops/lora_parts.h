// What loraLinear and segmentedLoraLinear share on the CPU beside the products of cpu/gemm: masked
// inputs, packed adapters, the update behind a mask, dA and dB. The ops: lora_linear.cc,
// segmented_lora_linear.cc.
#pragma once

#include "cpu/gemm/panels.h"
#include "cpu/gemm/weight_gradient.h"
#include "ops/linear.h"
#include "ops/op.h"

namespace fl::cpu {

/// Rows of x and dy that the caches of the cores still hold when dA and dB read them again.
int64_t rowsInCache(const Kernels& kernels, int64_t k, int64_t n);

/// x, or with LoRA dropout a masked copy of it in the workspace.
const float* droppedInput(const Tensor& x, const DropoutSpec& dropout);

/// The panels of A or B as the adapter of a product; made for every call, since both change with
/// every step.
Panels adapterPanels(const Kernels& kernels, Tensor adapter, WeightUse use);

/// Rows [first, end) of dx: dx = f'(z) (dx + mask * (v A)) + residual.
struct DroppedUpdate {
  Tensor dx, A;
  DropoutSpec dropout;
  Precision precision;
  GradientEpilogue epilogue;
  int64_t first = 0, end = 0;
  /// [end - first, rank]; without rank there is no update.
  const float* v = nullptr;
};
void addDroppedUpdate(const DroppedUpdate& update);

/// dA += v^T x and dB += dy^T u, some rows after the other; one of them may be null.
struct AdapterGradient {
  int64_t rank = 0, k = 0, n = 0;
  const float *x = nullptr, *v = nullptr, *dy = nullptr, *u = nullptr;
  float *dA = nullptr, *dB = nullptr;
};
class AdapterGradients {
 public:
  AdapterGradients(const Kernels& kernels, const AdapterGradient& gradient);
  /// Rows [begin, end), in order; begin a multiple of kernels.gradientRows.
  void add(int64_t begin, int64_t end);
  void finish();

 private:
  const Kernels& kernels_;
  const AdapterGradient g_;
  /// The sums of dB, transposed [rank, N], as rows of vectors; added at the end.
  float* sums_;
};

}  // namespace fl::cpu
