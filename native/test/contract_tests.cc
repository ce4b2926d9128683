// Contracts reject what is wrong, by the right code and with a message that names the op and the
// operand. Every operand of a good call of every op is taken away, given another dtype, and made
// longer in each dimension. The contracts are the headers of native/ops.
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "test/cases.h"
#include "test/op_test.h"
#include "test/tests.h"

namespace fl::test {
namespace {

/// The call of a case, with shapes and no memory.
OpCall shapesOf(const Case& c) {
  OpCall call;
  call.op = c.op;
  call.attributes = &c.attributes;
  call.optimizer = &c.optimizer;
  call.step = c.step;
  const auto tensor = [](const Operand& o) {
    Tensor t;
    t.dtype =
        o.kind == Operand::Kind::index ? DType::i32 : (o.kind == Operand::Kind::alwaysDouble ? DType::f64 : DType::f32);
    t.rank = o.rank;
    t.dim = o.dim;
    return t;
  };
  for (const Operand& o : c.inputs) call.inputs[static_cast<size_t>(call.numInputs++)] = tensor(o);
  for (const Operand& o : c.outputs) call.outputs[static_cast<size_t>(call.numOutputs++)] = tensor(o);
  return call;
}

void expectRejected(const OpCall& call, const std::string& what, const std::string& code, const std::string& named) {
  const std::string title = std::string(nameOf(call.op)) + " with " + what;
  try {
    validate(call);
    check(false, title + " was accepted");
  } catch (const Error& e) {
    const std::string message = e.what();
    check(e.code() == code, title + " gives " + e.code() + " (" + message + "), expected " + code);
    check(message.rfind(std::string(nameOf(call.op)) + ": ", 0) == 0 && message.find(named) != std::string::npos,
          title + " does not name the op and " + named + ": " + message);
  }
}

/// A case in which every operand is present, no two dimensions are equal by chance and all
/// dimensions are above 1.
Case fullCase(OpKind op) {
  Random random(301);
  for (const OpCases& entry : opCases())
    if (entry.op == op) return entry.full(op, random);
  fail("INTERNAL", std::string(nameOf(op)) + " has no cases");
}

/// Optional operands that the others of the full case need: a pair of ids and table, queries fewer
/// than tokens, what belongs to an activation or to dx.
bool isNeeded(OpKind op, const std::string& name) {
  static const std::set<std::pair<OpKind, std::string>> needed = {
      {OpKind::embeddingSum, "ids1"},
      {OpKind::embeddingSum, "table1"},
      {OpKind::attention, "queryRows"},
      {OpKind::attentionBackward, "queryRows"},
      {OpKind::linearBackwardInput, "preActivation"},
      {OpKind::loraLinearBackward, "preActivation"},
      {OpKind::segmentedLoraLinear, "tokenIndex"},
      {OpKind::segmentedLoraLinearBackward, "tokenIndex"},
      {OpKind::segmentedLoraLinearBackward, "preActivation"},
      {OpKind::segmentedLoraLinearBackward, "W"},
      {OpKind::segmentedLoraLinearBackward, "dx"},
      {OpKind::loraLinearBackward, "W"},
      {OpKind::loraLinearBackward, "dx"}};
  return needed.count({op, name}) != 0;
}

/// Whether no other operand and no attribute fixes this dimension.
bool isFree(const OpSignature& s, const OperandSpec& operand, size_t axis) {
  const int name = operand.dim[axis].name;
  if (name < 0) return false;
  int uses = 0;
  for (const OperandSpec& other : s.operands)
    for (size_t i = 0; i < static_cast<size_t>(other.rank); i++) uses += other.dim[i].name == name ? 1 : 0;
  for (const AttributeSpec& attribute : s.attributes)
    if (attribute.name == s.dims[static_cast<size_t>(name)]) uses++;
  return uses == 1;
}

/// ids0 is called ids in messages, and so on.
std::string spoken(std::string name) {
  while (name.back() >= '0' && name.back() <= '9') name.pop_back();
  return name;
}

void rejectsBadOperands(OpKind op) {
  const Case c = fullCase(op);
  const OpCall good = shapesOf(c);
  const OpSignature& signature = signatureOf(op);
  validate(good);
  for (int side = 0; side < 2; side++) {
    const std::vector<Operand>& operands = side == 0 ? c.inputs : c.outputs;
    for (size_t i = 0; i < operands.size(); i++) {
      const Operand& o = operands[i];
      OpCall call = good;
      Tensor& t = side == 0 ? call.inputs[i] : call.outputs[i];
      const Tensor original = t;
      const std::string name = spoken(o.name);
      const OperandSpec& spec = signature.operands[i + static_cast<size_t>(side == 0 ? 0 : signature.numInputs)];
      if (spec.optional && !isNeeded(op, o.name)) {
        t = Tensor{};
        validate(call);
      } else {
        t = Tensor{};
        // Without queryRows every token asks, and k has as many rows as q.
        expectRejected(call, name + " missing", "INVALID_SHAPE", name == "queryRows" ? "k" : name);
      }
      t = original;
      t.dtype = original.dtype == DType::i32 ? DType::f32 : DType::i32;
      expectRejected(call, name + " of another kind", "INVALID_SHAPE", name);
      t = original;
      for (int d = 0; d < t.rank; d++) {
        if (isFree(signature, spec, static_cast<size_t>(d))) continue;
        t.dim[static_cast<size_t>(d)]++;
        expectRejected(call, name + " longer in dimension " + std::to_string(d), "INVALID_SHAPE", "");
        t = original;
      }
    }
  }
}

void rejectsMixedPrecision() {
  for (const OpKind op : {OpKind::linear, OpKind::attention, OpKind::adamw, OpKind::crossEntropy}) {
    const Case c = fullCase(op);
    OpCall call = shapesOf(c);
    call.outputs[0].dtype = DType::f64;
    expectRejected(call, "one f64 operand", "INVALID_SHAPE", c.outputs[0].name);
  }
}

void rejectsBadCounts() {
  for (int i = 0; i < kOpCount; i++) {
    const Case c = fullCase(static_cast<OpKind>(i));
    const OpCall good = shapesOf(c);
    OpCall call = good;
    call.numInputs = kMaxInputs;
    expectRejected(call, "too many inputs", "INVALID_SHAPE", "inputs");
    call = good;
    call.numOutputs = 0;
    expectRejected(call, "no output", "INVALID_SHAPE", "outputs");
  }
}

void rejectsBadRank() {
  Random random(302);
  for (const int64_t rank : {int64_t{0}, int64_t{257}}) {
    for (const OpKind op : {OpKind::loraLinear, OpKind::loraLinearBackward}) {
      Case c = fullCase(op);
      OpCall call = shapesOf(c);
      for (size_t i = 0; i < c.inputs.size(); i++) {
        if (c.inputs[i].name == "A") call.inputs[i].dim[0] = rank;
        if (c.inputs[i].name == "B" || c.inputs[i].name == "u") call.inputs[i].dim[1] = rank;
      }
      expectRejected(call, "rank " + std::to_string(rank), "INVALID_SHAPE", "rank " + std::to_string(rank));
    }
  }
  validate(shapesOf(loraLinearCase(random, 2, 3, 3, {256, 0, false}, {})));
}

/// Attributes that the signature has not, has as another kind, or can not leave out.
void rejectsUnknownAttributes() {
  for (int i = 0; i < kOpCount; i++) {
    const Case good = fullCase(static_cast<OpKind>(i));
    Case c = good;
    c.attributes.set("epsilon", 1);
    expectRejected(shapesOf(c), "another attribute", "INVALID_ARGUMENT", "has no attribute 'epsilon'");
    for (const AttributeSpec& spec : signatureOf(good.op).attributes) {
      if (spec.name.empty()) continue;
      const std::string name(spec.name);
      c = good;
      c.attributes = Attributes{};
      for (const auto& [key, value] : good.attributes.numbers())
        if (key != name) c.attributes.set(key, value);
      for (const auto& [key, value] : good.attributes.texts())
        if (key != name) c.attributes.set(key, value);
      if (!spec.optional) expectRejected(shapesOf(c), name + " missing", "INVALID_ARGUMENT", name);
      if (spec.isWord())
        c.attributes.set(name, 1);
      else
        c.attributes.set(name, std::string("one"));
      expectRejected(shapesOf(c), name + " of another kind", "INVALID_ARGUMENT", name);
      if (spec.isWord()) continue;
      c = good;
      for (const double value : {std::numeric_limits<double>::infinity(), std::nan("")}) {
        c.attributes.set(name, value);
        expectRejected(shapesOf(c), name + " " + text(value), "INVALID_ARGUMENT", name);
      }
    }
  }
  const std::pair<OpKind, const char*> whole[] = {{OpKind::crossEntropy, "ignoreIndex"},
                                                  {OpKind::crossEntropyBackward, "ignoreIndex"},
                                                  {OpKind::embeddingBackward, "paddingIndex"},
                                                  {OpKind::attention, "numHeads"},
                                                  {OpKind::dropout, "site"}};
  for (const auto& [op, name] : whole)
    for (const double value : {1e300, -1e300, 0.5, 4294967296.0}) {
      Case c = fullCase(op);
      c.attributes.set(name, value);
      expectRejected(shapesOf(c), std::string(name) + " " + text(value), "INVALID_ARGUMENT", name);
    }
}

/// Dimensions whose product leaves 64 bits, and others that no memory holds, in every operand.
void rejectsShapesBeyondMemory() {
  constexpr int64_t k = int64_t{1} << 32;
  for (int i = 0; i < kOpCount; i++) {
    const Case c = fullCase(static_cast<OpKind>(i));
    const OpCall good = shapesOf(c);
    for (int at = 0; at < good.numInputs + good.numOutputs; at++) {
      OpCall call = good;
      Tensor& t = at < good.numInputs ? call.inputs[static_cast<size_t>(at)]
                                      : call.outputs[static_cast<size_t>(at - good.numInputs)];
      for (const std::array<int64_t, 2> dim : {std::array{k, k}, std::array{k / 2, 2 * k}, std::array{int64_t{-1}, k},
                                               std::array{int64_t{1} << 62, int64_t{4}}}) {
        t.rank = 2;
        t.dim = dim;
        expectRejected(call, t.describe(), "INVALID_SHAPE", "elements together");
      }
    }
  }
  check(elementsOf(int64_t{1} << 20, int64_t{1} << 20) == kMaxElements, "the largest tensor");
  check(elementsOf((int64_t{1} << 20) + 1, int64_t{1} << 20) < 0, "a row more");
  check(elementsOf(0, kMaxElements) == 0 && elementsOf(kMaxElements, 0) == 0, "no rows, no columns");
  check(elementsOf(0, -1) < 0 && elementsOf(std::numeric_limits<int64_t>::min(), 0) < 0, "negative dimensions");
}

void rejectsBadAttributes() {
  const auto number = [](OpKind op, const char* name, double value, const char* code) {
    Case c = fullCase(op);
    c.attributes.set(name, value);
    expectRejected(shapesOf(c), std::string(name) + " " + text(value), code, name);
  };
  for (const OpKind op : {OpKind::dropout, OpKind::loraLinear, OpKind::loraLinearBackward, OpKind::addLayerNorm,
                          OpKind::addLayerNormBackward, OpKind::attention, OpKind::attentionBackward})
    for (const double p : {1.0, -0.1, 1.5, std::numeric_limits<double>::quiet_NaN()})
      number(op, "dropout", p, "INVALID_ARGUMENT");
  for (const OpKind op : {OpKind::crossEntropy, OpKind::crossEntropyBackward})
    for (const double e : {1.0, -0.1, std::numeric_limits<double>::quiet_NaN()})
      number(op, "labelSmoothing", e, "INVALID_ARGUMENT");
  for (const OpKind op : {OpKind::attention, OpKind::attentionBackward})
    for (const double heads : {0.0, -1.0, 5.0}) {
      Case c = fullCase(op);
      c.attributes.set("numHeads", heads);
      expectRejected(shapesOf(c), text(heads) + " heads", heads < 1 ? "INVALID_ARGUMENT" : "INVALID_SHAPE", "eads");
    }
  for (const OpKind op : {OpKind::linear, OpKind::loraLinear, OpKind::activation, OpKind::activationBackward}) {
    Case c = fullCase(op);
    c.attributes.set("activation", std::string("swish"));
    expectRejected(shapesOf(c), "activation swish", "INVALID_ARGUMENT", "swish");
  }
  for (const OpKind op : {OpKind::linear, OpKind::linearBackwardInput, OpKind::linearBackwardWeight, OpKind::loraLinear,
                          OpKind::loraLinearBackward}) {
    Case c = fullCase(op);
    c.attributes.set("precision", std::string("fp8"));
    expectRejected(shapesOf(c), "precision fp8", "INVALID_ARGUMENT", "fp8");
    c = fullCase(op);
    c.attributes.set("precision", std::string("bf16"));
    validate(shapesOf(c));
  }
  Case c = fullCase(OpKind::loraLinearBackward);
  OpCall call = shapesOf(c);
  call.inputs[3] = Tensor{};
  expectRejected(call, "dx without W", "INVALID_SHAPE", "dx needs W");
  call = shapesOf(c);
  call.outputs[0] = call.inputs[7] = call.inputs[8] = Tensor{};
  expectRejected(call, "an activation without preActivation", "INVALID_SHAPE", "preActivation");
  c.attributes.set("activation", std::string("none"));
  call.attributes = &c.attributes;
  validate(call);
}

}  // namespace

void addContractTests(Suite& suite) {
  for (int i = 0; i < kOpCount; i++) {
    const auto op = static_cast<OpKind>(i);
    suite.add("contract/operands/" + std::string(nameOf(op)), [op] { rejectsBadOperands(op); });
  }
  suite.add("contract/mixedPrecision", rejectsMixedPrecision);
  suite.add("contract/counts", rejectsBadCounts);
  suite.add("contract/rank", rejectsBadRank);
  suite.add("contract/attributes", rejectsBadAttributes);
  suite.add("contract/unknownAttributes", rejectsUnknownAttributes);
  suite.add("contract/shapesBeyondMemory", rejectsShapesBeyondMemory);
}

}  // namespace fl::test
