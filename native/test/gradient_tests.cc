// Every backward op of the float64 reference against central differences of its forward op: for L =
// sum(dy * y), dL/dx[i] from L at x[i] -2h, -h, +h, +2h (error of order h^4). Forward formulas:
// value_tests.cc.
#include <cmath>

#include "test/cases.h"
#include "test/op_test.h"
#include "test/tests.h"

namespace fl::test {
namespace {

constexpr double kStep = 1e-3;
// max|g - g*| <= kBound * max(max|g*|, 1e-3): values and gradients here are of order one.
constexpr double kBound = 1e-8;

double objective(const Case& forward, const std::string& outputName, const std::vector<double>& dy) {
  const Outcome outcome = truth(forward);
  const std::vector<double>& y = outputOf(forward, outcome, outputName);
  double sum = 0;
  for (size_t i = 0; i < y.size(); i++) sum += dy[i] * y[i];
  return sum;
}

}  // namespace

void checkGradient(Case forward, const std::string& outputName, const std::vector<double>& dy,
                   const std::string& inputName, const std::vector<double>& gradient) {
  Operand& x = forward.in(inputName);
  check(gradient.size() == x.values.size(), inputName + ": the gradient has another size");
  double scale = 1e-3, worst = 0, found = 0, expected = 0;
  for (size_t i = 0; i < x.values.size(); i++) {
    const double value = x.values[i];
    const auto at = [&](double offset) {
      x.values[i] = value + offset;
      return objective(forward, outputName, dy);
    };
    const double numeric = (8 * (at(kStep) - at(-kStep)) - (at(2 * kStep) - at(-2 * kStep))) / (12 * kStep);
    x.values[i] = value;
    scale = std::fmax(scale, std::fabs(numeric));
    const double error = std::fabs(gradient[i] - numeric);
    if (error <= worst) continue;
    worst = error;
    found = gradient[i];
    expected = numeric;
  }
  check(worst <= kBound * scale, forward.title() + ": gradient of " + inputName + " is " + text(found) +
                                     " where differences give " + text(expected));
}

namespace {

/// An output of a backward op: what it added to its start value, or the value where it overwrites.
std::vector<double> gradientIn(const Case& backward, const Outcome& outcome, const std::string& name) {
  std::vector<double> g = outputOf(backward, outcome, name);
  const std::vector<double>& start = backward.out(name).values;
  for (size_t i = 0; i < g.size(); i++)
    if (!std::isnan(start[i])) g[i] -= start[i];
  return g;
}

}  // namespace

void checkBackward(const Case& forward, const Case& backward,
                   const std::vector<std::pair<std::string, std::string>>& pairs, const std::string& output) {
  const Outcome outcome = truth(backward);
  for (const auto& [gradient, input] : pairs)
    checkGradient(forward, output, backward.in("dy").values, input, gradientIn(backward, outcome, gradient));
}

namespace {

/// dz from dy through the activation of a case with output preActivation.
std::vector<double> throughActivation(const Case& forward, const std::vector<double>& dy) {
  const std::string activation(forward.attributes.text("activation", "none"));
  if (activation == "none") return dy;
  const Operand& z = forward.out("preActivation");
  Case c(OpKind::activationBackward, "");
  c.attributes.set("activation", activation);
  c.input("dy", {z.dim[0], z.dim[1]}, dy);
  c.input("x", {z.dim[0], z.dim[1]}, outputOf(forward, truth(forward), "preActivation"));
  c.output("dx", {z.dim[0], z.dim[1]});
  return truth(c)[0];
}

void linearGradients() {
  Random random(101);
  for (const char* activation : {"none", "gelu", "geluTanh", "tanh"})
    for (const int64_t rows : {1, 5}) {
      const int64_t in = 4, out = 3;
      const Case forward = linearCase(random, rows, in, out, {true, true, activation});
      const std::vector<double> dy = random.normals(rows * out), dz = throughActivation(forward, dy);
      Case input(OpKind::linearBackwardInput, "");
      input.input("dy", {rows, out}, dz).input("W", {out, in}, forward.in("W").values).output("dx", {rows, in});
      checkGradient(forward, "y", dy, "x", gradientIn(input, truth(input), "dx"));
      Case weight(OpKind::linearBackwardWeight, "");
      weight.input("dy", {rows, out}, dz).input("x", {rows, in}, forward.in("x").values);
      weight.accumulated("dW", {out, in}, random.normals(out * in));
      checkGradient(forward, "y", dy, "W", gradientIn(weight, truth(weight), "dW"));
      Case bias(OpKind::biasBackward, "");
      bias.input("dy", {rows, out}, dz).accumulated("db", {out}, random.normals(out));
      checkGradient(forward, "y", dy, "b", gradientIn(bias, truth(bias), "db"));
      checkGradient(forward, "y", dy, "residual", dy);
    }
}

void loraLinearGradients() {
  Random random(102);
  for (const char* activation : {"none", "gelu", "geluTanh", "tanh"})
    for (const Lora& lora : {Lora{1, 0, false}, Lora{3, 0, false}, Lora{2, 0.4, false}, Lora{4, 0.4, true}}) {
      const int64_t rows = 4;
      const Case forward = loraLinearCase(random, rows, 6, 5, lora, {true, true, activation});
      Case backward = loraLinearBackwardOf(forward, random, true);
      const std::vector<double> dy = backward.in("dy").values;
      backward.in("dy").values = throughActivation(forward, dy);
      const Outcome outcome = truth(backward);
      for (const auto& [gradient, input] : {std::pair{"dx", "x"}, std::pair{"dA", "A"}, std::pair{"dB", "B"}})
        checkGradient(forward, "y", dy, input, gradientIn(backward, outcome, gradient));
    }
}

void activationGradients() {
  Random random(103);
  for (const char* activation : {"none", "gelu", "geluTanh", "relu", "tanh"}) {
    Case forward = activationCase(OpKind::activation, random, 5, 7, activation);
    // relu has no derivative at 0: keep away from it.
    for (double& v : forward.in("x").values) v = v / 4 + (v < 0 ? -0.1 : 0.1);
    Case backward = activationCase(OpKind::activationBackward, random, 5, 7, activation);
    backward.in("x").values = forward.in("x").values;
    checkBackward(forward, backward, {{"dx", "x"}});
  }
}

void layerNormGradients() {
  Random random(104);
  for (const int64_t hidden : {2, 5, 9}) {
    const Case forward = layerNormCase(random, 4, hidden);
    checkBackward(forward, normBackwardOf(forward, random, 7), {{"dx", "x"}, {"dgamma", "gamma"}, {"dbeta", "beta"}});
  }
}

void addLayerNormGradients() {
  Random random(105);
  for (const double dropout : {0.0, 0.4})
    for (const bool tokenIndex : {false, true}) {
      const Case forward = addLayerNormCase(random, 4, 9, dropout, tokenIndex);
      checkBackward(forward, normBackwardOf(forward, random, 15),
                    {{"dx", "x"}, {"dresidual", "residual"}, {"dgamma", "gamma"}, {"dbeta", "beta"}});
    }
}

void attentionGradients() {
  Random random(106);
  for (const AttentionShape& shape :
       {AttentionShape{{1}, 1, 3, 0}, AttentionShape{{3, 1, 5}, 2, 4, 0}, AttentionShape{{4, 6}, 2, 3, 0.3},
        AttentionShape{{4, 6, 2}, 2, 3, 0.3, {7, 1, 7, 2}}}) {
    const Case forward = attentionCase(random, shape);
    checkBackward(forward, attentionBackwardOf(forward, random, 7), {{"dq", "q"}, {"dk", "k"}, {"dv", "v"}});
  }
}

void crossEntropyGradients() {
  Random random(107);
  for (const LossShape& shape : {LossShape{1, 2, false, 0, 0}, LossShape{6, 3, false, 0, 2},
                                 LossShape{6, 4, true, 0, 1}, LossShape{7, 5, true, 0.3, 2}}) {
    Case forward = crossEntropyCase(OpKind::crossEntropy, random, shape);
    for (double& v : forward.in("logits").values) v /= 3;
    Case backward(OpKind::crossEntropyBackward, forward.label);
    backward.attributes = forward.attributes;
    backward.step = forward.step;
    backward.inputs = forward.inputs;
    backward.output("dlogits", {shape.rows, shape.classes});
    checkGradient(forward, "loss", {forward.step.lossScale}, "logits", truth(backward)[0]);
  }
}

void mseGradients() {
  Random random(108);
  const Case forward = mseCase(OpKind::mse, random, 4, 3);
  Case backward = mseCase(OpKind::mseBackward, random, 4, 3);
  backward.inputs = forward.inputs;
  checkGradient(forward, "loss", {forward.step.lossScale}, "x", truth(backward)[0]);
}

void bceWithLogitsGradients() {
  Random random(112);
  for (const double scale : {1.0, 0.1}) {
    Case forward = bceWithLogitsCase(OpKind::bceWithLogits, random, 4, 3);
    for (double& x : forward.in("logits").values) x *= scale;
    forward.in("target").values[0] = 0.3;
    Case backward = bceWithLogitsCase(OpKind::bceWithLogitsBackward, random, 4, 3);
    backward.inputs = forward.inputs;
    checkGradient(forward, "loss", {forward.step.lossScale}, "logits", truth(backward)[0]);
  }
}

void elementwiseGradients() {
  Random random(109);
  const std::vector<double> dy = random.normals(12);
  const Case add = elementwiseCase(OpKind::add, random, 3, 4);
  checkGradient(add, "y", dy, "a", dy);
  checkGradient(add, "y", dy, "b", dy);
  // scale and dropout are their own gradients: applied to dy they give dx.
  for (const Case& forward : {elementwiseCase(OpKind::scale, random, 3, 4), dropoutCase(random, 3, 4, 0.4, false),
                              dropoutCase(random, 3, 4, 0.4, true)}) {
    Case backward = forward;
    backward.in("x").values = dy;
    checkGradient(forward, "y", dy, "x", truth(backward)[0]);
  }
}

void embeddingGradients() {
  Random random(110);
  const Case forward = embeddingSumCase(random, 9, 4, 3);
  const std::vector<double> dy = random.normals(9 * 4);
  for (const char* i : {"0", "1", "2"}) {
    const Operand& table = forward.in(std::string("table") + i);
    Case backward(OpKind::embeddingBackward, "");
    backward.index("ids", forward.in(std::string("ids") + i).values).input("dy", {9, 4}, dy);
    backward.accumulated("dtable", {table.dim[0], 4}, random.normals(table.dim[0] * 4));
    checkGradient(forward, "y", dy, table.name, gradientIn(backward, truth(backward), "dtable"));
  }
}

void gatherRowsGradients() {
  Random random(111);
  const Case forward = gatherRowsCase(OpKind::gatherRows, random, 4, 7, 3);
  Case backward = gatherRowsCase(OpKind::gatherRowsBackward, random, 4, 7, 3);
  backward.in("index").values = forward.in("index").values;
  checkBackward(forward, backward, {{"dx", "x"}});
}

const Registered registered(
    gradientTests(),
    {
        {"activation", activationGradients, {OpKind::activation, OpKind::activationBackward}},
        {"addLayerNorm", addLayerNormGradients, {OpKind::addLayerNorm, OpKind::addLayerNormBackward}},
        {"attention", attentionGradients, {OpKind::attention, OpKind::attentionBackward}},
        {"bceWithLogits", bceWithLogitsGradients, {OpKind::bceWithLogits, OpKind::bceWithLogitsBackward}},
        {"crossEntropy", crossEntropyGradients, {OpKind::crossEntropy, OpKind::crossEntropyBackward}},
        {"elementwise", elementwiseGradients, {OpKind::add, OpKind::scale, OpKind::dropout}},
        {"embedding", embeddingGradients, {OpKind::embeddingSum, OpKind::embeddingBackward}},
        {"gatherRows", gatherRowsGradients, {OpKind::gatherRows, OpKind::gatherRowsBackward}},
        {"layerNorm", layerNormGradients, {OpKind::layerNorm, OpKind::layerNormBackward}},
        {"linear",
         linearGradients,
         {OpKind::linear, OpKind::linearBackwardInput, OpKind::linearBackwardWeight, OpKind::biasBackward}},
        {"loraLinear", loraLinearGradients, {OpKind::loraLinear, OpKind::loraLinearBackward}},
        {"mse", mseGradients, {OpKind::mse, OpKind::mseBackward}},
    });

}  // namespace

void addGradientTests(Suite& suite) {
  for (const FormulaTest& test : gradientTests()) suite.add("gradient/" + test.name, test.body);
}

}  // namespace fl::test
