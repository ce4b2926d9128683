// What every op of ops/ops.def has to have: a contract, an f32 and an f64 reference, a CPU
// implementation, cases and a test of its formula. The lists that tests put them into: op_test.h.
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
}

}  // namespace fl::test
