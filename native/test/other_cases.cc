// Cases of embeddings, gathered rows, losses and the optimizer's ops.
// Matrix products are in product_cases.cc, row-wise ops in row_cases.cc.
#include <cmath>

#include "test/cases.h"
#include "test/op_test.h"

namespace fl::test {

Case embeddingSumCase(Random& random, int64_t rows, int64_t hidden, int tables) {
  Case c(OpKind::embeddingSum, shapeText({rows, hidden}) + " tables=" + std::to_string(tables));
  c.tolerance = 1e-6;
  for (int i = 0; i < tables; i++) {
    const int64_t vocabulary = i == 0 ? 101 : 3 * i;
    c.index("ids" + std::to_string(i), random.indices(rows, vocabulary));
    c.input("table" + std::to_string(i), {vocabulary, hidden}, random.normals(vocabulary * hidden));
  }
  return c.output("y", {rows, hidden});
}

Case embeddingBackwardCase(Random& random, int64_t rows, int64_t vocabulary, int64_t hidden, int64_t paddingIndex) {
  Case c(OpKind::embeddingBackward,
         shapeText({rows, vocabulary, hidden}) + " paddingIndex=" + std::to_string(paddingIndex));
  if (paddingIndex >= 0) c.attributes.set("paddingIndex", static_cast<double>(paddingIndex));
  c.index("ids", random.indices(rows, vocabulary)).input("dy", {rows, hidden}, random.normals(rows * hidden));
  return c.accumulated("dtable", {vocabulary, hidden}, random.normals(vocabulary * hidden));
}

Case gatherRowsCase(OpKind op, Random& random, int64_t rows, int64_t gathered, int64_t cols) {
  Case c(op, shapeText({rows, gathered, cols}));
  if (op == OpKind::gatherRows) {
    c.tolerance = 0;
    c.input("x", {rows, cols}, random.normals(rows * cols)).index("index", random.indices(gathered, rows));
    return c.output("y", {gathered, cols});
  }
  c.tolerance = 1e-6;
  c.input("dy", {gathered, cols}, random.normals(gathered * cols)).index("index", random.indices(gathered, rows));
  return c.output("dx", {rows, cols}, 1);
}

Case crossEntropyCase(OpKind op, Random& random, const LossShape& shape) {
  const int64_t rows = shape.rows, classes = shape.classes;
  Case c(op, shapeText({rows, classes}) + (shape.classWeights ? " classWeights" : "") +
                 " smoothing=" + std::to_string(shape.labelSmoothing) + " ignored=" + std::to_string(shape.ignored));
  if (shape.labelSmoothing > 0) c.attributes.set("labelSmoothing", shape.labelSmoothing);
  if (shape.ignored % 2 == 1) c.attributes.set("ignoreIndex", 1000000);
  c.step = someStep();
  std::vector<double> labels = random.indices(rows, classes);
  for (int64_t i = 0; i < shape.ignored; i++) labels[static_cast<size_t>(i)] = shape.ignored % 2 == 1 ? 1000000 : -100;
  c.input("logits", {rows, classes}, random.normals(rows * classes, 3)).index("labels", std::move(labels));
  if (shape.classWeights) {
    std::vector<double> weights = random.normals(classes, 0.2, 1);
    for (double& w : weights) w = std::fabs(w) + 0.1;
    c.input("classWeights", {classes}, std::move(weights));
  }
  return op == OpKind::crossEntropy ? c.output("loss", {1}, 0.1) : c.output("dlogits", {rows, classes});
}

Case mseCase(OpKind op, Random& random, int64_t rows, int64_t cols) {
  Case c(op, shapeText({rows, cols}));
  c.step = someStep();
  c.input("x", {rows, cols}, random.normals(rows * cols)).input("target", {rows, cols}, random.normals(rows * cols));
  return op == OpKind::mse ? c.output("loss", {1}) : c.output("dx", {rows, cols});
}

Case bceWithLogitsCase(OpKind op, Random& random, int64_t rows, int64_t labels) {
  Case c(op, shapeText({rows, labels}));
  c.step = someStep();
  c.input("logits", {rows, labels}, random.normals(rows * labels, 3));
  c.input("target", {rows, labels}, random.indices(rows * labels, 2));
  return op == OpKind::bceWithLogits ? c.output("loss", {1}) : c.output("dlogits", {rows, labels});
}

Case adamwCase(Random& random, int64_t count, double step) {
  Case c(OpKind::adamw, std::to_string(count) + " step=" + std::to_string(static_cast<int>(step)));
  // Parameters of the size of one update, so that the bound is on the update.
  c.tolerance = 1e-6;
  c.optimizer = AdamWSettings::of({0.01, 0.9, 0.999, 1e-8, 0.1}, step, 0.7);
  c.input("gradient", {count}, random.normals(count));
  std::vector<double> v = random.normals(count, 0.1);
  for (double& value : v) value *= value;
  c.accumulated("p", {count}, random.normals(count, 0.02)).accumulated("m", {count}, random.normals(count, 0.1));
  return c.accumulated("v", {count}, std::move(v));
}

Case squaredNormCase(Random& random, int64_t count) {
  Case c(OpKind::squaredNorm, std::to_string(count));
  c.tolerance = 1e-12;
  c.input("x", {count}, random.normals(count)).output("out", {1});
  c.outputs.back().kind = Operand::Kind::alwaysDouble;
  return c;
}

std::vector<Case> embeddingCases(OpKind op) {
  Random random(41);
  std::vector<Case> cases;
  for (int64_t rows : rowCounts()) {
    const auto i = static_cast<int>(cases.size());
    cases.push_back(op == OpKind::embeddingSum ? embeddingSumCase(random, rows, 35, 1 + i % 4)
                                               : embeddingBackwardCase(random, rows, 7, 35, i % 3 - 1));
  }
  if (op == OpKind::embeddingSum) {
    cases.push_back(embeddingSumCase(random, 300, 768, 3));
    for (const int64_t hidden : {1, 35, 768}) {
      cases.push_back(embeddingSumCase(random, 13, hidden, 3));
      cases.back().attributes.set("baseWeights", std::string("int8"));
    }
  } else
    cases.push_back(embeddingBackwardCase(random, 300, 1000, 768, 1));
  return cases;
}

std::vector<Case> gatherRowsCases(OpKind op) {
  Random random(42);
  std::vector<Case> cases;
  for (int64_t gathered : rowCounts()) cases.push_back(gatherRowsCase(op, random, 21, gathered, 35));
  cases.push_back(gatherRowsCase(op, random, 300, 32, 768));
  cases.push_back(gatherRowsCase(op, random, 1, 9, 1));
  return cases;
}

std::vector<Case> crossEntropyCases(OpKind op) {
  Random random(43);
  std::vector<Case> cases;
  for (int64_t rows : rowCounts()) {
    const size_t i = cases.size();
    cases.push_back(crossEntropyCase(
        op, random,
        {rows, static_cast<int64_t>(2 + i % 4), i % 2 == 1, i % 3 == 0 ? 0.1 : 0, rows > 2 ? rows / 3 : 0}));
  }
  for (int64_t ignored : {4, 5}) cases.push_back(crossEntropyCase(op, random, {ignored, 3, true, 0.2, ignored}));
  for (double smoothing : {0.0, 0.1}) {
    cases.push_back(crossEntropyCase(op, random, {40, 4099, false, smoothing, 30}));
    cases.push_back(crossEntropyCase(op, random, {12, 77, true, smoothing, 2}));
  }
  // Logits over the range of exp.
  cases.push_back(crossEntropyCase(op, random, {19, 5, false, 0.1, 0}));
  for (double& v : cases.back().in("logits").values) v = v * 5 + 300;
  cases.back().label += " large logits";
  return cases;
}

std::vector<Case> mseCases(OpKind op) {
  Random random(44);
  std::vector<Case> cases;
  for (int64_t rows : rowCounts())
    if (rows > 0) cases.push_back(mseCase(op, random, rows, 1 + rows % 3));
  return cases;
}

std::vector<Case> bceWithLogitsCases(OpKind op) {
  Random random(47);
  std::vector<Case> cases;
  for (int64_t rows : rowCounts()) cases.push_back(bceWithLogitsCase(op, random, rows, 1 + rows % 6));
  cases.push_back(bceWithLogitsCase(op, random, 70, 1001));
  // Targets between 0 and 1.
  cases.push_back(bceWithLogitsCase(op, random, 9, 4));
  for (double& t : cases.back().in("target").values) t = 0.1 + 0.8 * t;
  cases.back().label += " soft";
  // Logits beyond the range of exp, on both sides.
  cases.push_back(bceWithLogitsCase(op, random, 9, 4));
  for (double& x : cases.back().in("logits").values) x *= 300;
  cases.back().label += " large logits";
  return cases;
}

std::vector<Case> adamwCases() {
  Random random(45);
  std::vector<Case> cases;
  for (int64_t count : {1, 7, 16, 33, 1000, 65537})
    for (double step : {1.0, 2.0, 1000.0}) cases.push_back(adamwCase(random, count, step));
  return cases;
}

std::vector<Case> squaredNormCases() {
  Random random(46);
  std::vector<Case> cases;
  for (int64_t count : {1, 7, 16, 33, 1000, 65535, 65536, 65537, 200001})
    cases.push_back(squaredNormCase(random, count));
  return cases;
}

namespace {

const Registered registered(
    opCases(), {
                   {OpKind::embeddingSum, embeddingCases,
                    [](OpKind, Random& random) { return embeddingSumCase(random, 4, 6, 2); }},
                   {OpKind::embeddingBackward, embeddingCases,
                    [](OpKind, Random& random) { return embeddingBackwardCase(random, 4, 7, 6, 1); }},
                   {OpKind::gatherRows, gatherRowsCases,
                    [](OpKind op, Random& random) { return gatherRowsCase(op, random, 4, 3, 6); }},
                   {OpKind::gatherRowsBackward, gatherRowsCases,
                    [](OpKind op, Random& random) { return gatherRowsCase(op, random, 4, 3, 6); }},
                   {OpKind::crossEntropy, crossEntropyCases,
                    [](OpKind op, Random& random) {
                      return crossEntropyCase(op, random, {4, 3, true, 0.1, 0});
                    }},
                   {OpKind::crossEntropyBackward, crossEntropyCases,
                    [](OpKind op, Random& random) {
                      return crossEntropyCase(op, random, {4, 3, true, 0.1, 0});
                    }},
                   {OpKind::mse, mseCases, [](OpKind op, Random& random) { return mseCase(op, random, 4, 3); }},
                   {OpKind::mseBackward, mseCases, [](OpKind op, Random& random) { return mseCase(op, random, 4, 3); }},
                   {OpKind::bceWithLogits, bceWithLogitsCases,
                    [](OpKind op, Random& random) { return bceWithLogitsCase(op, random, 4, 3); }},
                   {OpKind::bceWithLogitsBackward, bceWithLogitsCases,
                    [](OpKind op, Random& random) { return bceWithLogitsCase(op, random, 4, 3); }},
                   {OpKind::adamw, [](OpKind) { return adamwCases(); },
                    [](OpKind, Random& random) { return adamwCase(random, 7, 1); }},
                   {OpKind::squaredNorm, [](OpKind) { return squaredNormCases(); },
                    [](OpKind, Random& random) { return squaredNormCase(random, 7); }},
               });

}  // namespace

}  // namespace fl::test
