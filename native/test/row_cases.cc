// Cases of the row-wise ops: elementwise, activations, dropout, layer norms and their gradients.
// Their kernels alone are tested in row_kernel_tests.cc.
#include <cmath>

#include "test/cases.h"
#include "test/op_test.h"

namespace fl::test {
namespace {

const char* const kActivations[] = {"none", "gelu", "geluTanh", "relu", "tanh"};

struct Shape {
  int64_t rows, cols;
};

std::vector<Shape> rowShapes() {
  std::vector<Shape> shapes;
  for (int64_t rows : rowCounts()) shapes.push_back({rows, 35});
  for (const Shape& s : {Shape{7, 1}, Shape{3, 2}, Shape{33, 64}, Shape{64, 768}, Shape{5, 3072}}) shapes.push_back(s);
  return shapes;
}

std::vector<Shape> normShapes() {
  std::vector<Shape> shapes;
  for (int64_t rows : rowCounts()) shapes.push_back({rows, 35});
  for (const Shape& s : {Shape{9, 32}, Shape{7, 2}, Shape{33, 64}, Shape{64, 128}, Shape{20, 384}, Shape{600, 192},
                         Shape{40, 768}, Shape{6, 1024}})
    shapes.push_back(s);
  return shapes;
}

}  // namespace

// Elementwise values differ from the truth by a few roundings, whatever the shape.
constexpr double kElementwiseTolerance = 1e-6;

Case elementwiseCase(OpKind op, Random& random, int64_t rows, int64_t cols) {
  Case c(op, shapeText({rows, cols}));
  c.tolerance = kElementwiseTolerance;
  const int64_t count = rows * cols;
  if (op == OpKind::scale) {
    c.attributes.set("factor", -0.37);
    c.input("x", {rows, cols}, random.normals(count));
  } else {
    c.input("a", {rows, cols}, random.normals(count)).input("b", {rows, cols}, random.normals(count));
  }
  return c.output("y", {rows, cols});
}

Case activationCase(OpKind op, Random& random, int64_t rows, int64_t cols, const std::string& activation) {
  Case c(op, shapeText({rows, cols}) + " " + activation);
  c.tolerance = kElementwiseTolerance;
  c.attributes.set("activation", activation);
  // Wide enough to reach the saturated ends of erf and tanh.
  std::vector<double> x = random.normals(rows * cols, 4);
  if (op == OpKind::activation) return c.input("x", {rows, cols}, std::move(x)).output("y", {rows, cols}, 1);
  c.input("dy", {rows, cols}, random.normals(rows * cols)).input("x", {rows, cols}, std::move(x));
  return c.output("dx", {rows, cols}, 1);
}

Case dropoutCase(Random& random, int64_t rows, int64_t cols, double p, bool tokenIndex) {
  Case c(OpKind::dropout, shapeText({rows, cols}) + " p=" + std::to_string(p) + (tokenIndex ? " tokenIndex" : ""));
  c.tolerance = kElementwiseTolerance;
  c.attributes.set("dropout", p).set("site", 3);
  c.step = someStep();
  c.input("x", {rows, cols}, random.normals(rows * cols));
  if (tokenIndex) c.index("tokenIndex", gappedTokens(rows));
  return c.output("y", {rows, cols});
}

Case layerNormCase(Random& random, int64_t rows, int64_t hidden, double mean) {
  Case c(OpKind::layerNorm, shapeText({rows, hidden}) + " mean=" + std::to_string(static_cast<int>(mean)));
  c.attributes.set("eps", 1e-5);
  c.input("x", {rows, hidden}, random.normals(rows * hidden, 1, mean));
  c.input("gamma", {hidden}, random.normals(hidden, 0.3, 1)).input("beta", {hidden}, random.normals(hidden));
  return c.output("y", {rows, hidden}, 1).output("stats", {rows, 2}, 1);
}

Case addLayerNormCase(Random& random, int64_t rows, int64_t hidden, double dropout, bool tokenIndex) {
  Case c(OpKind::addLayerNorm,
         shapeText({rows, hidden}) + " p=" + std::to_string(dropout) + (tokenIndex ? " tokenIndex" : ""));
  c.attributes.set("eps", 1e-12).set("dropout", dropout).set("site", 12);
  c.step = someStep();
  c.input("x", {rows, hidden}, random.normals(rows * hidden));
  c.input("residual", {rows, hidden}, random.normals(rows * hidden));
  c.input("gamma", {hidden}, random.normals(hidden, 0.3, 1)).input("beta", {hidden}, random.normals(hidden));
  if (tokenIndex) c.index("tokenIndex", gappedTokens(rows));
  return c.output("y", {rows, hidden}, 1).output("z", {rows, hidden}, 1).output("stats", {rows, 2}, 1);
}

Case normBackwardOf(const Case& forward, Random& random, unsigned outputs) {
  const bool fused = forward.op == OpKind::addLayerNorm;
  const int64_t rows = forward.in("x").dim[0], hidden = forward.in("x").dim[1];
  const Outcome saved = truth(forward);
  Case c(fused ? OpKind::addLayerNormBackward : OpKind::layerNormBackward,
         forward.label + " outputs=" + std::to_string(outputs));
  for (const auto& [name, value] : forward.attributes.numbers())
    if (name != "eps") c.attributes.set(name, value);
  c.step = forward.step;
  c.input("dy", {rows, hidden}, random.normals(rows * hidden));
  fused ? c.input("z", {rows, hidden}, outputOf(forward, saved, "z"))
        : c.input("x", {rows, hidden}, forward.in("x").values);
  c.input("gamma", {hidden}, forward.in("gamma").values).input("stats", {rows, 2}, outputOf(forward, saved, "stats"));
  if (fused && forward.inputs.size() > 4) c.index("tokenIndex", forward.in("tokenIndex").values);
  unsigned bit = 1;
  const auto wanted = [&] {
    const bool present = (outputs & bit) != 0;
    bit <<= 1;
    return present;
  };
  wanted() ? c.output("dx", {rows, hidden}, 1) : c.absentOutput("dx");
  if (fused) wanted() ? c.output("dresidual", {rows, hidden}, 1) : c.absentOutput("dresidual");
  wanted() ? c.accumulated("dgamma", {hidden}, random.normals(hidden)) : c.absentOutput("dgamma");
  wanted() ? c.accumulated("dbeta", {hidden}, random.normals(hidden)) : c.absentOutput("dbeta");
  return c;
}

std::vector<Case> elementwiseCases(OpKind op) {
  Random random(21);
  std::vector<Case> cases;
  for (const Shape& s : rowShapes()) cases.push_back(elementwiseCase(op, random, s.rows, s.cols));
  return cases;
}

std::vector<Case> activationCases(OpKind op) {
  Random random(22);
  std::vector<Case> cases;
  for (const char* activation : kActivations) {
    cases.push_back(activationCase(op, random, 33, 77, activation));
    if (op == OpKind::activation) continue;
    cases.back().inPlaceInput = 0;
    cases.back().label += " in place";
  }
  for (const Shape& s : rowShapes())
    cases.push_back(activationCase(op, random, s.rows, s.cols, kActivations[cases.size() % 5]));
  return cases;
}

std::vector<Case> dropoutCases() {
  Random random(23);
  std::vector<Case> cases;
  for (const Shape& s : rowShapes())
    for (double p : {0.0, 0.1, 0.5}) cases.push_back(dropoutCase(random, s.rows, s.cols, p, cases.size() % 2 == 1));
  return cases;
}

std::vector<Case> normCases(OpKind op) {
  Random random(24);
  const bool fused = op == OpKind::addLayerNorm || op == OpKind::addLayerNormBackward;
  const bool backward = op == OpKind::layerNormBackward || op == OpKind::addLayerNormBackward;
  const unsigned everything = fused ? 15 : 7;
  std::vector<Case> cases;
  const auto forward = [&](const Shape& s) {
    const size_t i = cases.size();
    return fused ? addLayerNormCase(random, s.rows, s.cols, i % 3 == 0 ? 0 : 0.1, i % 2 == 1)
                 : layerNormCase(random, s.rows, s.cols, i % 4 == 3 ? 10 : 0);
  };
  const auto add = [&](const Shape& s, unsigned outputs) {
    Case c = forward(s);
    cases.push_back(backward ? normBackwardOf(c, random, outputs) : c);
  };
  for (const Shape& s : normShapes()) add(s, everything);
  if (backward) {
    for (unsigned outputs = 1; outputs < everything; outputs++) add({18, 65}, outputs);
  } else {
    add({18, 65}, 0);
    cases.back().outputs.resize(1);
    cases.back().label += " y alone";
  }
  return cases;
}

namespace {

Case fullElementwise(OpKind op, Random& random) { return elementwiseCase(op, random, 4, 6); }
Case fullActivation(OpKind op, Random& random) { return activationCase(op, random, 4, 6, "gelu"); }

const Registered registered(
    opCases(),
    {
        {OpKind::activation, activationCases, fullActivation},
        {OpKind::activationBackward, activationCases, fullActivation},
        {OpKind::add, elementwiseCases, fullElementwise},
        {OpKind::scale, elementwiseCases, fullElementwise},
        {OpKind::dropout, [](OpKind) { return dropoutCases(); },
         [](OpKind, Random& random) { return dropoutCase(random, 4, 6, 0.1, true); }},
        {OpKind::layerNorm, normCases, [](OpKind, Random& random) { return layerNormCase(random, 4, 6); }},
        {OpKind::layerNormBackward, normCases,
         [](OpKind, Random& random) { return normBackwardOf(layerNormCase(random, 4, 6), random, 7); }},
        {OpKind::addLayerNorm, normCases,
         [](OpKind, Random& random) { return addLayerNormCase(random, 4, 6, 0.1, true); }},
        {OpKind::addLayerNormBackward, normCases,
         [](OpKind, Random& random) { return normBackwardOf(addLayerNormCase(random, 4, 6, 0.1, true), random, 15); }},
    });

}  // namespace

}  // namespace fl::test
