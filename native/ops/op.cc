// The op table in C++ and the check of a call by its op's signature; what each op is: ops/ops.def.
// Which function runs an op is each backend's: reference/, cpu/ and cuda/backend.cc.
#include "ops/op.h"

#define FL_OP_HEADERS
#include "ops/ops.def"

namespace fl {
namespace {

template <class Op>
void check(const OpCall& call) {
  Op::bind(call);
}

struct Entry {
  std::string_view name;
  OpSignature signature;
  void (*check)(const OpCall&);
};

constexpr Entry kOps[] = {
#define FL_OP(name, Contract) {#name, SignatureReader::read(Contract::signature), check<Contract>},
#include "ops/ops.def"
};

const Entry& entryOf(OpKind op) { return kOps[static_cast<size_t>(op)]; }

}  // namespace

std::string_view nameOf(OpKind op) { return entryOf(op).name; }

OpKind opByName(std::string_view name) {
  for (int i = 0; i < kOpCount; i++)
    if (kOps[i].name == name) return static_cast<OpKind>(i);
  fail("INVALID_ARGUMENT", "there is no op called '" + std::string(name) + "'");
}

const OpSignature& signatureOf(OpKind op) { return entryOf(op).signature; }

namespace {

[[noreturn]] void rejectAttribute(OpKind op, const std::string& message) {
  fail("INVALID_ARGUMENT", std::string(nameOf(op)) + ": " + message);
}

const AttributeSpec* attributeSpec(const OpSignature& s, std::string_view name) {
  for (int i = 0; i < s.numAttributes; i++)
    if (s.attributes[static_cast<size_t>(i)].name == name) return &s.attributes[static_cast<size_t>(i)];
  return nullptr;
}

void checkAttributes(OpKind op, const Attributes& attributes) {
  const OpSignature& s = signatureOf(op);
  const auto known = [&](const std::string& name, bool word) {
    const AttributeSpec* const spec = attributeSpec(s, name);
    if (!spec) rejectAttribute(op, "has no attribute '" + name + "'");
    if (spec->isWord() != word)
      rejectAttribute(op, "attribute '" + name + "' must be a " + (spec->isWord() ? "word" : "number"));
  };
  for (const auto& [name, value] : attributes.numbers()) {
    known(name, false);
    if (!std::isfinite(value)) rejectAttribute(op, "attribute '" + name + "' is " + std::to_string(value));
  }
  for (const auto& [name, value] : attributes.texts()) known(name, true);
  for (int i = 0; i < s.numAttributes; i++) {
    const AttributeSpec& spec = s.attributes[static_cast<size_t>(i)];
    if (!spec.optional && !attributes.has(spec.name))
      rejectAttribute(op, "attribute '" + std::string(spec.name) + "' is missing");
  }
}

}  // namespace

void validate(const OpCall& call) {
  checkAttributes(call.op, *call.attributes);
  entryOf(call.op).check(call);
}

double attributeNumber(OpKind op, const Attributes& attributes, std::string_view name) {
  const AttributeSpec* const spec = attributeSpec(signatureOf(op), name);
  return spec && spec->hasNumber ? attributes.number(name, spec->otherwise) : attributes.number(name);
}

int64_t Contract::integer(std::string_view name, int64_t low, int64_t high) const {
  const double value = number(name);
  if (!(value >= static_cast<double>(low) && value <= static_cast<double>(high)) || value != std::floor(value))
    rejectAttribute(call_.op, std::string(name) + " is " + std::to_string(value) + ", expected a whole number from " +
                                  std::to_string(low) + " to " + std::to_string(high));
  return static_cast<int64_t>(value);
}

Contract::Contract(const OpCall& call) : call_(call), signature_(signatureOf(call.op)) {
  const OpSignature& s = signature_;
  if (call.numInputs < s.minInputs || call.numInputs > s.numInputs || call.numOutputs < s.minOutputs ||
      call.numOutputs > s.numOutputs)
    reject("takes " + std::to_string(s.minInputs) + ".." + std::to_string(s.numInputs) + " inputs and " +
           std::to_string(s.minOutputs) + ".." + std::to_string(s.numOutputs) + " outputs, not " +
           std::to_string(call.numInputs) + " and " + std::to_string(call.numOutputs));
  sizes_.fill(-1);
  for (int i = 0; i < s.numInputs; i++) operand(s.input(i), input(i));
  for (int i = 0; i < s.numOutputs; i++) operand(s.output(i), output(i));
  for (int i = 0; i < s.numLimits; i++)
    if (s.limits[static_cast<size_t>(i)].dim < 0) checkAttribute(s.limits[static_cast<size_t>(i)]);
}

void Contract::reject(const std::string& message) const {
  fail("INVALID_SHAPE", std::string(nameOf(call_.op)) + ": " + message);
}

void Contract::operand(const OperandSpec& spec, const Tensor& t) {
  const auto name = [&] { return std::string(spec.name); };
  if (!t.present()) {
    if (!spec.optional) reject("operand " + name() + " is missing");
    return;
  }
  if (!t.countable()) t.requireCountable(std::string(nameOf(call_.op)) + ": " + name());
  const bool floating = spec.kind == OperandSpec::Kind::floating;
  if (floating) {
    if (t.dtype == DType::i32) reject(name() + " must be floating, not " + t.describe());
    if (haveDType_ && t.dtype != dtype_)
      reject(name() + " is " + nameOf(t.dtype) + " where the other operands are " + nameOf(dtype_));
    haveDType_ = true;
    dtype_ = t.dtype;
  }
  // A vector of floats may come as a row or a column.
  const std::array<int64_t, 2> found =
      spec.rank == 2 ? std::array{t.rows(), t.cols()}
                     : std::array{spec.kind == OperandSpec::Kind::index ? t.rows() : t.count(), int64_t{1}};
  bool fits = floating || t.dtype == (spec.kind == OperandSpec::Kind::index ? DType::i32 : DType::f64);
  fits = fits && (t.rank == spec.rank || (spec.rank == 1 && spec.kind != OperandSpec::Kind::index));
  std::array<int64_t, 2> expected{};
  for (size_t axis = 0; axis < static_cast<size_t>(spec.rank); axis++) {
    const DimSpec dim = spec.dim[axis];
    if (dim.name >= 0) {
      int64_t& size = sizes_[static_cast<size_t>(dim.name)];
      if (size < 0) bindDim(dim.name, found[axis]);
      expected[axis] = size;
    } else {
      expected[axis] = dim.fixed;
    }
    fits = fits && found[axis] == expected[axis];
  }
  // No rows are a batch without any (masked LM); no columns are nothing that a model has.
  if (t.rank == 2 && t.dim[1] == 0) reject(name() + " is " + t.describe() + ": it has no columns");
  if (fits) return;
  const char* dtype = spec.kind == OperandSpec::Kind::index ? "i32" : floating ? "" : "f64";
  reject(name() + " is " + t.describe() + ", expected " + dtype + "[" + std::to_string(expected[0]) +
         (spec.rank == 2 ? "," + std::to_string(expected[1]) : "") + "]");
}

void Contract::expect(std::string_view dim, int64_t size) const {
  const OpSignature& s = signature_;
  for (int i = 0; i < s.numInputs + s.numOutputs; i++) {
    const OperandSpec& spec = s.operands[static_cast<size_t>(i)];
    const Tensor t = i < s.numInputs ? input(i) : output(i - s.numInputs);
    if (!t.present()) continue;
    Tensor wanted = t;
    for (size_t axis = 0; axis < static_cast<size_t>(spec.rank); axis++)
      if (spec.dim[axis].name >= 0 && s.dims[static_cast<size_t>(spec.dim[axis].name)] == dim) wanted.dim[axis] = size;
    if (wanted.dim == t.dim) continue;
    std::string shape = std::to_string(wanted.dim[0]);
    if (t.rank == 2) shape += "," + std::to_string(wanted.dim[1]);
    reject(std::string(spec.name) + " is " + t.describe() + ", expected [" + shape + "]");
  }
}

void Contract::bindDim(int8_t dim, int64_t size) {
  sizes_[static_cast<size_t>(dim)] = size;
  for (const LimitSpec& limit : signature_.limits)
    if (!limit.name.empty() && limit.dim == dim && (size < limit.low || size > limit.high))
      reject(std::string(limit.name) + " " + std::to_string(size) + " is not in " + std::to_string(limit.low) + ".." +
             std::to_string(limit.high));
}

void Contract::checkAttribute(const LimitSpec& limit) const {
  const auto low = static_cast<double>(limit.low), high = static_cast<double>(limit.high);
  const double value = call_.attributes->number(limit.name, low);
  if (!(value >= low && value < high))
    fail("INVALID_ARGUMENT", std::string(nameOf(call_.op)) + ": " + std::string(limit.name) + " is " +
                                 std::to_string(value) + ", expected a value in [" + std::to_string(low) + ", " +
                                 std::to_string(high) + ")");
}

DropoutSpec DropoutSpec::bind(const Contract& contract, const Tensor& tokenIndex) {
  DropoutSpec spec;
  spec.p = contract.number("dropout");
  spec.key.seed = contract.call().step.seed;
  spec.key.site = static_cast<uint32_t>(contract.integer("site", 0, UINT32_MAX));
  spec.key.forwardNumber = contract.call().step.forwardNumber;
  spec.tokenIndex = tokenIndex;
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
