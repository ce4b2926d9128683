// What every op has in common: its kind, the call that a backend receives, and the check of a call
// by its signature. Formulas are in each op's header beside this one, backends in reference/, cpu/,
// cuda/.
//
// An op's header has its formula, its signature (ops/signature.h: operands in order, shapes,
// attributes, limits) and a struct whose `bind(call)` checks a call and gives the operands names.
// Programs bind every instruction once when they are built, so that a step can not fail on a shape;
// backends bind again to get the names.
//
// Shapes in the signatures: R rows (tokens, sequences or gathered rows), T tokens of the batch, S
// sequences, H hidden, K in, N out features. Floating operands all have one dtype: f32, or f64 on
// the reference backend.
//
// Products have an attribute `precision`. bf16 means the same on every backend: each operand of
// each product is rounded to bf16 (nearest, ties to even) from its fp32 value, products are exact
// and sums fp32; results, biases, activations, residuals and gradients are fp32. What lies between
// two products (u, v of LoRA; a masked input) is fp32 and is rounded where it is an operand. A
// factor (LoRA's scaling) is applied to fp32 sums, never to bf16 operands.
#pragma once

#include <array>
#include <cmath>
#include <string>
#include <string_view>

#include "ops/signature.h"
#include "runtime/attributes.h"
#include "runtime/philox.h"
#include "runtime/tensor.h"

namespace fl {

enum class OpKind : uint8_t {
#define FL_OP(name, Contract) name,
#include "ops/ops.def"
  kCount,
};
constexpr int kOpCount = static_cast<int>(OpKind::kCount);

/// The name used in graphs, errors and docs: that of the enumerator.
std::string_view nameOf(OpKind op);
/// Throws INVALID_ARGUMENT for an unknown name.
OpKind opByName(std::string_view name);
const OpSignature& signatureOf(OpKind op);

/// What changes from step to step.
struct StepState {
  uint64_t seed = 0;
  uint32_t forwardNumber = 0;
  /// Factor on the gradient of the loss (1 / accumulation steps, or a share of rows).
  double lossScale = 1;
};

struct AdamWSettings;

struct OpCall {
  OpKind op;
  std::array<Tensor, kMaxInputs> inputs{};
  int numInputs = 0;
  std::array<Tensor, kMaxOutputs> outputs{};
  int numOutputs = 0;
  const Attributes* attributes = nullptr;
  /// Of adamw alone (ops/optimizer.h), which has no attributes; null for every other op.
  const AdamWSettings* optimizer = nullptr;
  StepState step;
};

using OpFunction = void (*)(const OpCall&);

/// Checks a call against the op's contract; throws INVALID_SHAPE naming the op, the operand, its
/// shape and what was expected, or INVALID_ARGUMENT naming the attribute: of a name that the
/// signature has not, missing, of the wrong kind, or no finite number.
void validate(const OpCall& call);

/// A number of an instruction's attributes, or the default of the op's signature.
double attributeNumber(OpKind op, const Attributes& attributes, std::string_view name);

/// A call checked by its op's signature, for `bind`, which names the operands and checks what a
/// signature can not say.
class Contract {
 public:
  /// Checks counts, dtypes, dimensions and limits.
  explicit Contract(const OpCall& call);

  /// Operand i, absent when the call has fewer.
  Tensor input(int i) const { return i < call_.numInputs ? call_.inputs[static_cast<size_t>(i)] : Tensor{}; }
  Tensor output(int i) const { return i < call_.numOutputs ? call_.outputs[static_cast<size_t>(i)] : Tensor{}; }
  double number(std::string_view name) const { return attributeNumber(call_.op, *call_.attributes, name); }
  /// A number that must be whole and in [low, high].
  int64_t integer(std::string_view name, int64_t low, int64_t high) const;
  const OpCall& call() const { return call_; }

  /// Every operand with this dimension must be `size` long in it: what follows from attributes or
  /// absent operands.
  void expect(std::string_view dim, int64_t size) const;
  [[noreturn]] void reject(const std::string& message) const;

 private:
  void operand(const OperandSpec& spec, const Tensor& t);
  /// From the first operand that has the dimension.
  void bindDim(int8_t dim, int64_t size);
  void checkAttribute(const LimitSpec& limit) const;

  const OpCall& call_;
  const OpSignature& signature_;
  /// Of each dimension; -1: not known yet.
  std::array<int64_t, std::tuple_size_v<decltype(OpSignature::dims)>> sizes_;
  bool haveDType_ = false;
  DType dtype_ = DType::f32;
};

/// Dropout of one instruction: attributes `dropout` (probability, default 0) and `site` (which
/// mask).
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

  static DropoutSpec bind(const Contract& contract, const Tensor& tokenIndex);
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
