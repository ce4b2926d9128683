// What a test file gives for an op, put into lists that the suites go through: a new op's tests are
// one file beside this one. Its calls are made of test/case.h; what must be there is in
// coverage_tests.cc.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "test/case.h"
#include "test/random.h"

namespace fl::test {

struct OpCases {
  OpKind op;
  /// What backends are compared on.
  std::vector<Case> (*cases)(OpKind op);
  /// A call in which every operand is present, no two dimensions are equal by chance and all
  /// dimensions are above 1.
  Case (*full)(OpKind op, Random& random);
};
std::vector<OpCases>& opCases();

/// A test of formulas, and the ops that it covers.
struct FormulaTest {
  std::string name;
  void (*body)();
  std::vector<OpKind> covers;
};
/// Gradients against central differences.
std::vector<FormulaTest>& gradientTests();
/// Forward formulas against numbers worked out by hand.
std::vector<FormulaTest>& valueTests();

/// Entries of one of these lists, from a file of their own: `const Registered mine(opCases(),
/// {...});`.
class Registered {
 public:
  template <class Entry>
  Registered(std::vector<Entry>& list, std::initializer_list<Entry> entries) {
    list.insert(list.end(), entries);
  }
};

/// Checks dL/dx[i] for L = sum(dy * output) against differences of L: `gradient` is that of
/// `inputName`.
void checkGradient(Case forward, const std::string& outputName, const std::vector<double>& dy,
                   const std::string& inputName, const std::vector<double>& gradient);

/// Runs the backward case and checks each pair (output of backward, input of forward); dy is
/// backward's operand `dy`.
void checkBackward(const Case& forward, const Case& backward,
                   const std::vector<std::pair<std::string, std::string>>& pairs, const std::string& output = "y");

/// Checks an output of the float64 reference to its last bits but one.
void expectValues(const Case& c, const std::string& output, const std::vector<double>& want);

}  // namespace fl::test
