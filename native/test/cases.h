// The test cases of every op: builders of single cases, and for the comparison of backends a list
// over shape classes. What a case is, and running one: case.h.
#pragma once

#include <string>
#include <vector>

#include "test/case.h"
#include "test/random.h"

namespace fl::test {

/// What backends are compared on, for one op.
std::vector<Case> casesOf(OpKind op);

/// 1..17, 64, 257 and 513 rows: below, at and above the tiles and the 256-row chunks. 0 where no
/// row is allowed.
const std::vector<int64_t>& rowCounts();

// Products. Epilogue: which optional operands take part.
struct Epilogue {
  bool bias = true;
  bool residual = false;
  std::string activation = "none";
};
struct Lora {
  int64_t rank = 8;
  double dropout = 0;
  bool tokenIndex = false;
};
Case linearCase(Random& random, int64_t rows, int64_t in, int64_t out, const Epilogue& epilogue);
Case loraLinearCase(Random& random, int64_t rows, int64_t in, int64_t out, const Lora& lora, const Epilogue& epilogue);
/// `epilogue` of a gradient: preActivation with an activation, and residual.
Case linearBackwardInputCase(Random& random, int64_t rows, int64_t in, int64_t out, const Epilogue& epilogue = {});
Case linearBackwardWeightCase(Random& random, int64_t rows, int64_t in, int64_t out);
Case biasBackwardCase(Random& random, int64_t rows, int64_t out);
/// dy is random; u comes from the forward case on the reference.
Case loraLinearBackwardOf(const Case& forward, Random& random, bool withDx, const Epilogue& epilogue = {});
/// The cases of a product in precision bf16.
std::vector<Case> bf16CasesOf(OpKind op);
/// In precision bf16, with values such that u, v and masked inputs are exact in fp32 sums of any
/// order: then backends round them to the same bf16 values, and results are as close as in fp32.
Case inBf16(Case c);
/// What sums on a tensor core may be off by besides, for terms of order 1: each eight steps of the
/// depth cut off half a unit in the last place on average (emulator/tensor_core_model.h).
inline double tensorCoreDrift(int64_t depth) { return static_cast<double>((depth + 7) / 8) * 0x1p-24; }
std::vector<Case> linearCases();
std::vector<Case> linearBackwardInputCases();
std::vector<Case> linearBackwardWeightCases();
std::vector<Case> biasBackwardCases();
std::vector<Case> loraLinearCases();
std::vector<Case> loraLinearBackwardCases();

// Rows: elementwise ops and normalization.
Case elementwiseCase(OpKind op, Random& random, int64_t rows, int64_t cols);
Case activationCase(OpKind op, Random& random, int64_t rows, int64_t cols, const std::string& activation);
Case dropoutCase(Random& random, int64_t rows, int64_t cols, double p, bool tokenIndex);
Case layerNormCase(Random& random, int64_t rows, int64_t hidden, double mean = 0);
Case addLayerNormCase(Random& random, int64_t rows, int64_t hidden, double dropout, bool tokenIndex);
/// Of a layerNorm or addLayerNorm case. Bits of `outputs`: which outputs are present, in contract
/// order.
Case normBackwardOf(const Case& forward, Random& random, unsigned outputs);
std::vector<Case> elementwiseCases(OpKind op);
std::vector<Case> activationCases(OpKind op);
std::vector<Case> dropoutCases();
std::vector<Case> normCases(OpKind op);

// Attention.
struct AttentionShape {
  std::vector<int64_t> lengths;
  int64_t heads = 1, headDim = 16;
  double dropout = 0;
  /// Tokens that ask; empty: all, without queryRows.
  std::vector<int64_t> queries = {};
};
Case attentionCase(Random& random, const AttentionShape& shape);
/// Bits of `outputs`: dq, dk, dv.
Case attentionBackwardOf(const Case& forward, Random& random, unsigned outputs);
std::vector<Case> attentionCases(OpKind op);

// Lookups.
Case embeddingSumCase(Random& random, int64_t rows, int64_t hidden, int tables);
Case embeddingBackwardCase(Random& random, int64_t rows, int64_t vocabulary, int64_t hidden, int64_t paddingIndex);
Case gatherRowsCase(OpKind op, Random& random, int64_t rows, int64_t gathered, int64_t cols);
std::vector<Case> embeddingCases(OpKind op);
std::vector<Case> gatherRowsCases(OpKind op);

// Loss and optimizer.
struct LossShape {
  int64_t rows = 1, classes = 2;
  bool classWeights = false;
  double labelSmoothing = 0;
  /// How many of the first rows are ignored.
  int64_t ignored = 0;
};
Case crossEntropyCase(OpKind op, Random& random, const LossShape& shape);
Case mseCase(OpKind op, Random& random, int64_t rows, int64_t cols);
Case bceWithLogitsCase(OpKind op, Random& random, int64_t rows, int64_t labels);
Case adamwCase(Random& random, int64_t count, double step);
Case squaredNormCase(Random& random, int64_t count);
std::vector<Case> crossEntropyCases(OpKind op);
std::vector<Case> mseCases(OpKind op);
std::vector<Case> bceWithLogitsCases(OpKind op);
std::vector<Case> adamwCases();
std::vector<Case> squaredNormCases();

/// Logical token indices of a gather: increasing, with gaps.
std::vector<double> gappedTokens(int64_t rows);
/// A step whose seed uses all 64 bits.
StepState someStep();
std::string shapeText(std::initializer_list<int64_t> numbers);

}  // namespace fl::test
