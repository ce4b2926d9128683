// What every op has in common: its kind, the call that a backend receives, and the checks its contract header makes.
//
// Each op has one contract header in this folder: formula, operands in order, shapes, attributes, errors and source,
// and a struct whose `bind(call)` checks a call against that contract and gives the operands names. Programs bind every
// instruction once when they are built, so that a step can not fail on a shape; backends bind again to get the names.
//
// Shapes in the contracts: R rows (tokens, sequences or gathered rows), T tokens of the batch, S sequences, H hidden,
// K in, N out features, r rank. A name followed by ? is optional (Tensor::present()). "acc" marks an output that is
// added to (parameter gradients); every other output is overwritten. Floating operands all have one dtype: f32, or f64
// on the reference backend. Index operands are i32.
//
// Products have an attribute `precision`. bf16 means the same on every backend: each operand of each product is rounded
// to bf16 (nearest, ties to even) from its fp32 value, products are exact and sums fp32; results, biases, activations,
// residuals and gradients are fp32. What lies between two products (u, v of LoRA; a masked input) is fp32 and is
// rounded where it is an operand. A factor (LoRA's scaling) is applied to fp32 sums, never to bf16 operands.
#pragma once

#include <array>
#include <cmath>
#include <string>
#include <string_view>

#include "runtime/attributes.h"
#include "runtime/philox.h"
#include "runtime/tensor.h"

namespace fl {

enum class OpKind : uint8_t {
  activation,
  activationBackward,
  adamw,
  add,
  addLayerNorm,
  addLayerNormBackward,
  attention,
  attentionBackward,
  bceWithLogits,
  bceWithLogitsBackward,
  biasBackward,
  crossEntropy,
  crossEntropyBackward,
  dropout,
  embeddingBackward,
  embeddingSum,
  gatherRows,
  gatherRowsBackward,
  layerNorm,
  layerNormBackward,
  linear,
  linearBackwardInput,
  linearBackwardWeight,
  loraLinear,
  loraLinearBackward,
  mse,
  mseBackward,
  scale,
  squaredNorm,
  kCount,
};
constexpr int kOpCount = static_cast<int>(OpKind::kCount);

/// The name used in graphs, errors and docs: that of the enumerator.
std::string_view nameOf(OpKind op);
/// Throws INVALID_ARGUMENT for an unknown name.
OpKind opByName(std::string_view name);

/// What changes from step to step.
struct StepState {
  uint64_t seed = 0;
  uint32_t forwardNumber = 0;
  /// Factor on the gradient of the loss (1 / accumulation steps, or a share of rows).
  double lossScale = 1;
};

struct OpCall {
  static constexpr int kMaxInputs = 10;
  static constexpr int kMaxOutputs = 4;

  OpKind op;
  std::array<Tensor, kMaxInputs> inputs{};
  int numInputs = 0;
  std::array<Tensor, kMaxOutputs> outputs{};
  int numOutputs = 0;
  const Attributes* attributes = nullptr;
  StepState step;
};

using OpFunction = void (*)(const OpCall&);

/// Checks a call against the op's contract; throws INVALID_SHAPE naming the op, the operand, its shape and what was
/// expected.
void validate(const OpCall& call);

/// Helpers of the contract headers.
class Contract {
 public:
  explicit Contract(const OpCall& call, int minInputs, int maxInputs, int minOutputs, int maxOutputs);

  /// Operand i, absent when the call has fewer.
  Tensor input(int i) const { return i < call_.numInputs ? call_.inputs[i] : Tensor{}; }
  Tensor output(int i) const { return i < call_.numOutputs ? call_.outputs[i] : Tensor{}; }

  /// The floating dtype of the op is that of its first floating operand checked.
  void matrix(const Tensor& t, const char* name, int64_t rows, int64_t cols);
  void vector(const Tensor& t, const char* name, int64_t count);
  void indices(const Tensor& t, const char* name, int64_t count);
  void optionalMatrix(const Tensor& t, const char* name, int64_t rows, int64_t cols) {
    if (t.present()) matrix(t, name, rows, cols);
  }
  void optionalVector(const Tensor& t, const char* name, int64_t count) {
    if (t.present()) vector(t, name, count);
  }
  void optionalIndices(const Tensor& t, const char* name, int64_t count) {
    if (t.present()) indices(t, name, count);
  }
  [[noreturn]] void reject(const std::string& message) const;
  /// attribute `name` in [low, high), else INVALID_ARGUMENT.
  double number(const char* name, double otherwise, double low, double high) const;
  const OpCall& call() const { return call_; }

 private:
  void floating(const Tensor& t, const char* name);
  const OpCall& call_;
  bool haveDType_ = false;
  DType dtype_ = DType::f32;
};

/// Dropout of one instruction: attributes `dropout` (probability, default 0) and `site` (which mask).
struct DropoutSpec {
  double p = 0;
  MaskKey key;
  /// i32 [R]?: logical token index of each row; absent: the row number.
  Tensor tokenIndex;

  bool active() const { return p > 0; }
  uint32_t token(int64_t row) const {
    return static_cast<uint32_t>(tokenIndex.present() ? tokenIndex.as<int32_t>()[row] : row);
  }
  uint32_t threshold() const { return dropThreshold(p); }
  double keepScale() const { return 1.0 / (1.0 - p); }

  static DropoutSpec bind(Contract& contract, const Tensor& tokenIndex, int64_t rows);
};

/// What the operands of a product are rounded to before they are multiplied; sums are fp32 in both.
enum class Precision : uint8_t { fp32, bf16 };
std::string_view nameOf(Precision precision);
/// From attribute `precision`: 'fp32' (default) or 'bf16', else INVALID_ARGUMENT.
Precision bindPrecision(OpKind op, const Attributes& attributes);

enum class Activation : uint8_t { none, gelu, geluTanh, relu, tanh };
/// From attribute `activation`: 'none' (default), 'gelu' (erf), 'geluTanh', 'relu', 'tanh'.
Activation bindActivation(const Contract& contract);

}  // namespace fl
