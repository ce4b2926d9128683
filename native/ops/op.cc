#include "ops/op.h"

#include "ops/activation.h"
#include "ops/add_layer_norm.h"
#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/gather_rows.h"
#include "ops/layer_norm.h"
#include "ops/linear.h"
#include "ops/lora_linear.h"
#include "ops/loss.h"
#include "ops/optimizer.h"

namespace fl {
namespace {

template <class Op>
void check(const OpCall& call) {
  Op::bind(call);
}

struct Entry {
  OpKind kind;
  std::string_view name;
  void (*check)(const OpCall&);
};

constexpr Entry kOps[] = {
    {OpKind::activation, "activation", check<ActivationOp>},
    {OpKind::activationBackward, "activationBackward", check<ActivationBackwardOp>},
    {OpKind::adamw, "adamw", check<AdamWOp>},
    {OpKind::add, "add", check<AddOp>},
    {OpKind::addLayerNorm, "addLayerNorm", check<AddLayerNormOp>},
    {OpKind::addLayerNormBackward, "addLayerNormBackward", check<AddLayerNormBackwardOp>},
    {OpKind::attention, "attention", check<AttentionOp>},
    {OpKind::attentionBackward, "attentionBackward", check<AttentionBackwardOp>},
    {OpKind::bceWithLogits, "bceWithLogits", check<BceWithLogitsOp>},
    {OpKind::bceWithLogitsBackward, "bceWithLogitsBackward", check<BceWithLogitsOp>},
    {OpKind::biasBackward, "biasBackward", check<BiasBackwardOp>},
    {OpKind::crossEntropy, "crossEntropy", check<CrossEntropyOp>},
    {OpKind::crossEntropyBackward, "crossEntropyBackward", check<CrossEntropyOp>},
    {OpKind::dropout, "dropout", check<DropoutOp>},
    {OpKind::embeddingBackward, "embeddingBackward", check<EmbeddingBackwardOp>},
    {OpKind::embeddingSum, "embeddingSum", check<EmbeddingSumOp>},
    {OpKind::gatherRows, "gatherRows", check<GatherRowsOp>},
    {OpKind::gatherRowsBackward, "gatherRowsBackward", check<GatherRowsBackwardOp>},
    {OpKind::layerNorm, "layerNorm", check<LayerNormOp>},
    {OpKind::layerNormBackward, "layerNormBackward", check<LayerNormBackwardOp>},
    {OpKind::linear, "linear", check<LinearOp>},
    {OpKind::linearBackwardInput, "linearBackwardInput", check<LinearBackwardInputOp>},
    {OpKind::linearBackwardWeight, "linearBackwardWeight", check<LinearBackwardWeightOp>},
    {OpKind::loraLinear, "loraLinear", check<LoraLinearOp>},
    {OpKind::loraLinearBackward, "loraLinearBackward", check<LoraLinearBackwardOp>},
    {OpKind::mse, "mse", check<MseOp>},
    {OpKind::mseBackward, "mseBackward", check<MseOp>},
    {OpKind::scale, "scale", check<ScaleOp>},
    {OpKind::squaredNorm, "squaredNorm", check<SquaredNormOp>},
};
static_assert(sizeof(kOps) / sizeof(kOps[0]) == kOpCount, "every op has an entry, in the order of OpKind");

}  // namespace

std::string_view nameOf(OpKind op) { return kOps[static_cast<int>(op)].name; }

OpKind opByName(std::string_view name) {
  for (const Entry& e : kOps)
    if (e.name == name) return e.kind;
  fail("INVALID_ARGUMENT", "there is no op called '" + std::string(name) + "'");
}

void validate(const OpCall& call) { kOps[static_cast<int>(call.op)].check(call); }

Contract::Contract(const OpCall& call, int minInputs, int maxInputs, int minOutputs, int maxOutputs) : call_(call) {
  if (call.numInputs < minInputs || call.numInputs > maxInputs || call.numOutputs < minOutputs ||
      call.numOutputs > maxOutputs)
    reject("takes " + std::to_string(minInputs) + ".." + std::to_string(maxInputs) + " inputs and " +
           std::to_string(minOutputs) + ".." + std::to_string(maxOutputs) + " outputs, not " +
           std::to_string(call.numInputs) + " and " + std::to_string(call.numOutputs));
}

void Contract::reject(const std::string& message) const {
  fail("INVALID_SHAPE", std::string(nameOf(call_.op)) + ": " + message);
}

void Contract::floating(const Tensor& t, const char* name) {
  if (!t.present()) reject(std::string("operand ") + name + " is missing");
  if (t.dtype == DType::i32) reject(std::string(name) + " must be floating, not " + t.describe());
  if (haveDType_ && t.dtype != dtype_)
    reject(std::string(name) + " is " + nameOf(t.dtype) + " where the other operands are " + nameOf(dtype_));
  haveDType_ = true;
  dtype_ = t.dtype;
}

void Contract::matrix(const Tensor& t, const char* name, int64_t rows, int64_t cols) {
  floating(t, name);
  if (t.rank != 2 || t.dim[0] != rows || t.dim[1] != cols)
    reject(std::string(name) + " is " + t.describe() + ", expected [" + std::to_string(rows) + "," +
           std::to_string(cols) + "]");
}

void Contract::vector(const Tensor& t, const char* name, int64_t count) {
  floating(t, name);
  if (t.count() != count)
    reject(std::string(name) + " is " + t.describe() + ", expected [" + std::to_string(count) + "]");
}

void Contract::indices(const Tensor& t, const char* name, int64_t count) {
  if (!t.present()) reject(std::string("operand ") + name + " is missing");
  if (t.dtype != DType::i32 || t.rank != 1 || t.dim[0] != count)
    reject(std::string(name) + " is " + t.describe() + ", expected i32[" + std::to_string(count) + "]");
}

double Contract::number(const char* name, double otherwise, double low, double high) const {
  const double value = call_.attributes->number(name, otherwise);
  if (!(value >= low && value < high))
    fail("INVALID_ARGUMENT", std::string(nameOf(call_.op)) + ": " + name + " is " + std::to_string(value) +
                                 ", expected a value in [" + std::to_string(low) + ", " + std::to_string(high) + ")");
  return value;
}

DropoutSpec DropoutSpec::bind(Contract& contract, const Tensor& tokenIndex, int64_t rows) {
  DropoutSpec spec;
  spec.p = contract.number("dropout", 0, 0, 1);
  spec.key.seed = contract.call().step.seed;
  spec.key.site = static_cast<uint32_t>(contract.call().attributes->number("site", 0));
  spec.key.forwardNumber = contract.call().step.forwardNumber;
  spec.tokenIndex = tokenIndex;
  contract.optionalIndices(tokenIndex, "tokenIndex", rows);
  return spec;
}

std::string_view nameOf(Precision precision) { return precision == Precision::bf16 ? "bf16" : "fp32"; }

Precision bindPrecision(OpKind op, const Attributes& attributes) {
  const std::string_view name = attributes.text("precision", "fp32");
  if (name == "fp32") return Precision::fp32;
  if (name == "bf16") return Precision::bf16;
  fail("INVALID_ARGUMENT",
       std::string(nameOf(op)) + ": there is no precision '" + std::string(name) + "'; use fp32 or bf16");
}

Activation bindActivation(const Contract& contract) {
  const std::string_view name = contract.call().attributes->text("activation", "none");
  if (name == "none") return Activation::none;
  if (name == "gelu") return Activation::gelu;
  if (name == "geluTanh") return Activation::geluTanh;
  if (name == "relu") return Activation::relu;
  if (name == "tanh") return Activation::tanh;
  fail("INVALID_ARGUMENT", std::string(nameOf(contract.call().op)) + ": there is no activation '" + std::string(name) +
                               "'; use none, gelu, geluTanh, relu or tanh");
}

}  // namespace fl
