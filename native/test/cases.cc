// What the builders of cases share (row counts, gapped tokens, the step), and the list of cases by
// op. The builders: attention_cases.cc, product_cases.cc, row_cases.cc, other_cases.cc.
#include "test/cases.h"

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

std::vector<Case> casesOf(OpKind op) {
  switch (op) {
    case OpKind::activation:
    case OpKind::activationBackward:
      return activationCases(op);
    case OpKind::adamw:
      return adamwCases();
    case OpKind::add:
    case OpKind::scale:
      return elementwiseCases(op);
    case OpKind::addLayerNorm:
    case OpKind::addLayerNormBackward:
    case OpKind::layerNorm:
    case OpKind::layerNormBackward:
      return normCases(op);
    case OpKind::attention:
    case OpKind::attentionBackward:
      return attentionCases(op);
    case OpKind::bceWithLogits:
    case OpKind::bceWithLogitsBackward:
      return bceWithLogitsCases(op);
    case OpKind::biasBackward:
      return biasBackwardCases();
    case OpKind::crossEntropy:
    case OpKind::crossEntropyBackward:
      return crossEntropyCases(op);
    case OpKind::dropout:
      return dropoutCases();
    case OpKind::embeddingBackward:
    case OpKind::embeddingSum:
      return embeddingCases(op);
    case OpKind::gatherRows:
    case OpKind::gatherRowsBackward:
      return gatherRowsCases(op);
    case OpKind::linear:
      return linearCases();
    case OpKind::linearBackwardInput:
      return linearBackwardInputCases();
    case OpKind::linearBackwardWeight:
      return linearBackwardWeightCases();
    case OpKind::loraLinear:
      return loraLinearCases();
    case OpKind::loraLinearBackward:
      return loraLinearBackwardCases();
    case OpKind::mse:
    case OpKind::mseBackward:
      return mseCases(op);
    case OpKind::squaredNorm:
      return squaredNormCases();
    case OpKind::kCount:
      break;
  }
  return {};
}

}  // namespace fl::test
