// What every op of ops/ops.def has to have: a contract, an f32 and an f64 reference, a CPU
// implementation, a CUDA form or a reason why not, cases and a test of its formula. The lists that
// tests put them into: op_test.h.
#include <algorithm>

#include "ops/backend.h"
#include "test/cases.h"
#include "test/op_test.h"
#include "test/tests.h"

namespace fl::test {
namespace {

bool holds(const std::vector<FormulaTest>& tests, OpKind op) {
  return std::any_of(tests.begin(), tests.end(), [op](const FormulaTest& test) {
    return std::find(test.covers.begin(), test.covers.end(), op) != test.covers.end();
  });
}

/// A contract rejects a call without operands by the op's own name.
bool hasContract(OpKind op) {
  const Attributes none;
  OpCall call;
  call.op = op;
  call.attributes = &none;
  try {
    validate(call);
  } catch (const Error& e) {
    return std::string(e.what()).rfind(std::string(nameOf(op)) + ": ", 0) == 0;
  }
  return false;
}

void everyOpIsComplete() {
  for (int i = 0; i < kOpCount; i++) {
    const auto op = static_cast<OpKind>(i);
    const std::string name(nameOf(op));
    check(opByName(name) == op, name + " is not found by its name");
    check(hasContract(op), name + " has no contract");
    check(referenceBackend().find(op, DType::f64) != nullptr, name + " has no f64 reference");
    check(referenceBackend().find(op, DType::f32) != nullptr, name + " has no f32 reference");
    check(cpuBackend().find(op, DType::f32) != nullptr, name + " has no CPU implementation");
    check(!casesOf(op).empty(), name + " has no cases that backends are compared on");
    // What is not differentiated (the optimizer, the norm) is checked against numbers instead.
    check(holds(gradientTests(), op) || holds(valueTests(), op), name + " has no gradient test");
  }
}

/// Forms that an op has on the CPU and not on CUDA. `op`: a name, or * for all. An entry for an op
/// or a form that CUDA has by now is a failure, as is a form that is missing without an entry.
struct WithoutCuda {
  const char *op, *form, *why;
};
const std::vector<WithoutCuda>& withoutCuda() {
  static const std::vector<WithoutCuda> list{};
  return list;
}

bool hasAttribute(OpKind op, std::string_view name) {
  const auto& attributes = signatureOf(op).attributes;
  return std::any_of(attributes.begin(), attributes.end(), [&](const auto& a) { return a.name == name; });
}

/// `has`: whether CUDA has the op in this form. Returns whether there is an entry for it.
bool checkForm(OpKind op, std::string_view form, bool has) {
  const std::string name(nameOf(op)), what = name + " in " + std::string(form);
  const auto& entries = withoutCuda();
  const bool reason = std::any_of(entries.begin(), entries.end(), [&](const WithoutCuda& entry) {
    return (entry.op == name || std::string_view(entry.op) == "*") && entry.form == form;
  });
  check(has || reason, what + " has no CUDA form, and no reason in withoutCuda()");
  check(!has || !reason, what + " has a CUDA form by now: take it out of withoutCuda()");
  return reason;
}

void cudaForms() {
  Backend& cuda = backendOrSkip("cuda");
  size_t used = 0;
  for (int i = 0; i < kOpCount; i++) {
    const auto op = static_cast<OpKind>(i);
    const auto precisionForm = [&](Precision precision) {
      used += checkForm(op, nameOf(precision), cuda.find(op, DType::f32, precision) != nullptr);
    };
    precisionForm(Precision::fp32);
    if (hasAttribute(op, "precision")) precisionForm(Precision::bf16);
    if (!hasAttribute(op, "baseWeights")) continue;
    for (const BaseWeights weights : {BaseWeights::int8, BaseWeights::nf4})
      used += checkForm(op, nameOf(weights), cuda.holds(weights));
  }
  check(used >= withoutCuda().size(), "withoutCuda() names an op or a form that is not there");
}

void unknownOp() {
  try {
    opByName("attentoin");
    check(false, "an unknown name was taken");
  } catch (const Error& e) {
    check(e.code() == "INVALID_ARGUMENT" && std::string(e.what()).find("attentoin") != std::string::npos, e.what());
  }
}

}  // namespace

void addCoverageTests(Suite& suite) {
  suite.add("coverage/everyOpIsComplete", everyOpIsComplete);
  suite.add("coverage/unknownOp", unknownOp);
  suite.add("coverage/cudaForms", cudaForms);
}

}  // namespace fl::test
