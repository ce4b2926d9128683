// What the builders of cases share (row counts, gapped tokens, a step), and the lists of op_test.h.
// The builders: attention_cases.cc, product_cases.cc, row_cases.cc, other_cases.cc.
#include "test/cases.h"

#include "test/op_test.h"

namespace fl::test {

const std::vector<int64_t>& rowCounts() {
  static const std::vector<int64_t> rows = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 64, 257, 513};
  return rows;
}

std::vector<double> gappedTokens(int64_t rows) {
  std::vector<double> tokens;
  for (int64_t i = 0; i < rows; i++) tokens.push_back(static_cast<double>(i * 7 + i % 3 + 2));
  return tokens;
}

StepState someStep() {
  StepState step;
  step.seed = 0x0123456789ABCDEFu;
  step.forwardNumber = 41;
  step.lossScale = 0.25;
  return step;
}

std::string shapeText(std::initializer_list<int64_t> numbers) {
  std::string s;
  for (int64_t n : numbers) s += (s.empty() ? "" : "x") + std::to_string(n);
  return s;
}

std::vector<OpCases>& opCases() {
  static std::vector<OpCases> list;
  return list;
}

std::vector<FormulaTest>& gradientTests() {
  static std::vector<FormulaTest> list;
  return list;
}

std::vector<FormulaTest>& valueTests() {
  static std::vector<FormulaTest> list;
  return list;
}

std::vector<Case> casesOf(OpKind op) {
  for (const OpCases& entry : opCases())
    if (entry.op == op) return entry.cases(op);
  return {};
}

}  // namespace fl::test
