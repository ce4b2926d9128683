// What every op has to have: a contract, an f32 and an f64 reference, a CPU implementation and a
// test of its formula. (The comparison of backends fails by itself for an op without cases.) The
// lists of tested ops are in gradient_tests.cc and value_tests.cc.
#include <algorithm>

#include "ops/backend.h"
#include "test/tests.h"

namespace fl::test {
namespace {

bool holds(const std::vector<OpKind>& ops, OpKind op) { return std::find(ops.begin(), ops.end(), op) != ops.end(); }

/// A contract rejects a call without operands by the op's own name.
bool hasContract(OpKind op) {
  Attributes none;
  none.set("eps", 1).set("factor", 1).set("numHeads", 1).set("scaling", 1).set("learningRate", 1).set("beta1", 0);
  none.set("beta2", 0).set("weightDecay", 0).set("step", 1);
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
    // What is not differentiated (the optimizer, the norm) is checked against numbers instead.
    check(holds(opsWithGradientTest(), op) || holds(opsWithValueTest(), op), name + " has no gradient test");
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
