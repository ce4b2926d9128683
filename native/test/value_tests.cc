// The forward formulas of the float64 reference against numbers worked out by hand.
// Gradients are checked by differences in gradient_tests.cc, backends by compare_tests.cc.
#include <bit>
#include <cmath>
#include <limits>

#include "runtime/bf16.h"
#include "test/cases.h"
#include "test/op_test.h"
#include "test/tests.h"

namespace fl::test {

void expectValues(const Case& c, const std::string& output, const std::vector<double>& want) {
  const std::vector<double> got = outputOf(c, truth(c), output);
  check(got.size() == want.size(), c.title() + ": " + output + " has another size");
  for (size_t i = 0; i < want.size(); i++)
    check(std::fabs(got[i] - want[i]) <= 1e-14 * std::fmax(1, std::fabs(want[i])),
          c.title() + ": " + output + "[" + std::to_string(i) + "] is " + text(got[i]) + ", expected " + text(want[i]));
}

namespace {

// Phi(1) = 0.8413..., 2 Phi(-2) = 0.0455...
void activationValues() {
  const auto values = [](const char* activation, const std::vector<double>& want) {
    Case c(OpKind::activation, activation);
    c.attributes.set("activation", activation);
    expectValues(c.input("x", {1, 3}, {1, -2, 0.5}).output("y", {1, 3}), "y", want);
  };
  values("none", {1, -2, 0.5});
  values("relu", {1, 0, 0.5});
  values("gelu", {0.841344746068543, -0.04550026389635839, 0.34573123063700656});
  values("geluTanh", {0.8411919906082768, -0.04540230591222494, 0.34571400982514394});
  values("tanh", {0.7615941559557649, -0.9640275800758169, 0.46211715726000973});
}

void elementwiseValues() {
  Case add(OpKind::add, "");
  expectValues(add.input("a", {2, 1}, {1, 2}).input("b", {2, 1}, {10, -3}).output("y", {2, 1}), "y", {11, -1});
  Case scale(OpKind::scale, "");
  scale.attributes.set("factor", -0.5);
  expectValues(scale.input("x", {1, 2}, {4, -3}).output("y", {1, 2}), "y", {-2, 1.5});
}

// Kept where the Philox word is at least p * 2^32, and then divided by 1 - p.
void dropoutValues() {
  Case c(OpKind::dropout, "");
  c.attributes.set("dropout", 0.25).set("site", 3);
  c.step.seed = 5;
  c.step.forwardNumber = 2;
  c.input("x", {2, 6}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}).index("tokenIndex", {8, 1}).output("y", {2, 6});
  std::vector<double> want;
  for (uint32_t row = 0; row < 2; row++)
    for (uint32_t j = 0; j < 6; j++)
      want.push_back(philox(row == 0 ? 8 : 1, j / 4, 3, 2, 5, 0).word[j % 4] < 0x40000000u ? 0
                                                                                           : (row * 6 + j + 1) / 0.75);
  expectValues(c, "y", want);
}

// z = [1, 3, 8]: mean 4, variance 26 / 3.
void normValues() {
  const double rstd = 1 / std::sqrt(26.0 / 3 + 1e-5);
  const std::vector<double> want = {-3 * rstd * 2 + 1, -1 * rstd * 3 - 1, 4 * rstd * 4};
  Case norm(OpKind::layerNorm, "");
  norm.attributes.set("eps", 1e-5);
  norm.input("x", {1, 3}, {1, 3, 8}).input("gamma", {3}, {2, 3, 4}).input("beta", {3}, {1, -1, 0});
  norm.output("y", {1, 3}).output("stats", {1, 2});
  expectValues(norm, "y", want);
  expectValues(norm, "stats", {4, rstd});
  Case fused(OpKind::addLayerNorm, "");
  fused.attributes.set("eps", 1e-5);
  fused.input("x", {1, 3}, {1, 2, 3}).input("residual", {1, 3}, {0, 1, 5});
  fused.input("gamma", {3}, {2, 3, 4}).input("beta", {3}, {1, -1, 0});
  fused.output("y", {1, 3}).output("z", {1, 3}).output("stats", {1, 2});
  expectValues(fused, "y", want);
  expectValues(fused, "z", {1, 3, 8});
}

// One head of two: scores 0 and log 3 for the first token, so P = [1/4, 3/4]; equal scores
// elsewhere; the third token is a sequence of its own.
void attentionValues() {
  Case c(OpKind::attention, "");
  c.attributes.set("numHeads", 2).set("scale", 1.0);
  c.input("q", {3, 2}, {1, 0, 0, 0, 5, 5}).input("k", {3, 2}, {0, 7, std::log(3.0), -7, 9, 9});
  c.input("v", {3, 2}, {4, 10, 8, 30, -1, -2}).index("cuSeqlens", {0, 2, 3});
  c.output("y", {3, 2}).output("logsumexp", {3, 2});
  expectValues(c, "y", {7, 20, 6, 20, -1, -2});
  expectValues(c, "logsumexp", {std::log(4.0), std::log(2.0), std::log(2.0), std::log(2.0), 45, 45});
}

void linearValues() {
  Case c(OpKind::linear, "");
  c.input("x", {2, 2}, {1, 2, 3, 4}).input("W", {3, 2}, {1, 0, 0, 1, 1, -1}).input("b", {3}, {10, 20, 30});
  expectValues(c.output("y", {2, 3}), "y", {11, 22, 29, 13, 24, 29});
}

// As above with u = 2 x A^T, A = [1, 1] and B = [1, 0, -1]^T: u = [6, 14].
void loraLinearValues() {
  Case c(OpKind::loraLinear, "");
  c.attributes.set("scaling", 2.0).set("activation", "relu");
  c.input("x", {2, 2}, {1, 2, 3, 4}).input("W", {3, 2}, {1, 0, 0, 1, 1, -1}).input("b", {3}, {10, 20, 1});
  c.input("A", {1, 2}, {1, 1}).input("B", {3, 1}, {1, 0, -1}).input("residual", {2, 3}, {1, 1, 1, 2, 2, 2});
  c.output("y", {2, 3}).output("u", {2, 1}).output("preActivation", {2, 3});
  expectValues(c, "u", {6, 14});
  expectValues(c, "preActivation", {17, 22, -6, 27, 24, -14});
  expectValues(c, "y", {18, 23, 1, 29, 26, 2});
}

// Seven bits behind the leading one: 1 + 1/256 and 1 + 3/256 are ties, which go to the even
// neighbour.
void bf16Values() {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<std::pair<float, float>> rounded = {{1 + 1.0f / 256, 1},
                                                        {1 + 3.0f / 256, 1 + 1.0f / 64},
                                                        {1 + 1.01f / 256, 1 + 1.0f / 128},
                                                        {-1 - 1.0f / 256, -1},
                                                        {3.3895314e38f, 3.3895314e38f},
                                                        {3.4e38f, inf},
                                                        {-inf, -inf},
                                                        {0, 0}};
  for (const auto& [value, want] : rounded)
    check(roundToBf16(value) == want,
          text(value) + " is rounded to " + text(roundToBf16(value)) + ", expected " + text(want));
  for (const uint32_t bits : {0x7FFFFFFFu, 0xFFFFFFFFu, 0x7F800001u})
    check(std::isnan(roundToBf16(std::bit_cast<float>(bits))), "a NaN is lost in rounding");

  Case linear(OpKind::linear, "bf16");
  linear.attributes.set("precision", std::string("bf16"));
  linear.input("x", {1, 2}, {1 + 1.0 / 256, 1 + 3.0 / 256}).input("W", {1, 2}, {2 + 1.0 / 128, 1});
  expectValues(linear.output("y", {1, 1}), "y", {2 + 1 + 1.0 / 64});
  // u = 2 (1 + 1/128)^2 stays whole, and is rounded where it is multiplied.
  Case lora(OpKind::loraLinear, "bf16");
  lora.attributes.set("precision", std::string("bf16")).set("scaling", 2.0);
  const double near = 1 + 1.0 / 128;
  lora.input("x", {1, 1}, {near}).input("W", {1, 1}, {0}).absent("b").input("A", {1, 1}, {near});
  lora.input("B", {1, 1}, {1}).output("y", {1, 1}).output("u", {1, 1});
  expectValues(lora, "u", {2 * near * near});
  expectValues(lora, "y", {2 + 1.0 / 32});
}

void lookupValues() {
  Case sum(OpKind::embeddingSum, "");
  sum.index("ids0", {1, 0}).input("table0", {2, 2}, {1, 2, 3, 4});
  sum.index("ids1", {0, 0}).input("table1", {1, 2}, {10, 20});
  expectValues(sum.output("y", {2, 2}), "y", {13, 24, 11, 22});
  // Of scale 1: codes 127 and -64 (-63.5, ties to even); the other row's are 0 and 127.
  Case held(OpKind::embeddingSum, "");
  held.attributes.set("baseWeights", std::string("int8"));
  held.index("ids0", {1, 0}).input("table0", {2, 2}, {0, 127, 127, -63.5});
  held.index("ids1", {0, 0}).input("table1", {1, 2}, {10, 20});
  expectValues(held.output("y", {2, 2}), "y", {137, -44, 10, 147});
  Case back(OpKind::embeddingBackward, "");
  back.attributes.set("paddingIndex", 0);
  back.index("ids", {1, 0, 1}).input("dy", {3, 2}, {1, 2, 3, 4, 5, 6});
  expectValues(back.accumulated("dtable", {2, 2}, {7, 7, 7, 7}), "dtable", {7, 7, 13, 15});
  Case gather(OpKind::gatherRows, "");
  expectValues(gather.input("x", {2, 2}, {1, 2, 3, 4}).index("index", {1, 1, 0}).output("y", {3, 2}), "y",
               {3, 4, 3, 4, 1, 2});
}

// logits [0, log 3]: p = [1/4, 3/4].
void lossValues() {
  const auto entropy = [](const std::vector<double>& labels, double smoothing, double want) {
    Case c(OpKind::crossEntropy, "");
    c.attributes.set("labelSmoothing", smoothing);
    c.input("logits", {2, 2}, {0, std::log(3.0), 0, std::log(3.0)}).index("labels", labels);
    expectValues(c.input("classWeights", {2}, {1, 3}).output("loss", {1}), "loss", {want});
  };
  const double first = std::log(4.0), second = std::log(4.0 / 3);
  entropy({0, 1}, 0, (first + 3 * second) / 4);
  entropy({1, -100}, 0, second);
  entropy({1, -100}, 0.5, (0.5 * 3 * second + 0.25 * (first + 3 * second)) / 3);
  entropy({-100, -100}, 0, 0);
  Case binary(OpKind::bceWithLogits, "");
  binary.input("logits", {1, 3}, {std::log(3.0), std::log(3.0), 1000}).input("target", {1, 3}, {1, 0, 1});
  expectValues(binary.output("loss", {1}), "loss", {(std::log(4.0 / 3) + std::log(4.0)) / 3});
  Case mse(OpKind::mse, "");
  expectValues(mse.input("x", {2, 2}, {1, 2, 3, 4}).input("target", {2, 2}, {1, 0, 0, 4}).output("loss", {1}), "loss",
               {13.0 / 4});
}

// Two steps on p = 1 with gradients 2 and -1. The first moves by the learning rate whatever the
// gradient: p = 1 (1 - 0.01 0.1) - 0.01 * 2 / (2 + eps); the second was worked out in Python from
// the contract's formula.
void optimizerValues() {
  struct Step {
    double number, gradient, p, m, v;
  };
  Step before{0, 0, 1, 0, 0};
  for (const Step& step : {Step{1, 2, 0.98900000005, 0.2, 0.004}, Step{2, -1, 0.9853476296701932, 0.08, 0.004996}}) {
    Case c(OpKind::adamw, "step " + text(step.number));
    c.optimizer = AdamWSettings::of({0.01, 0.9, 0.999, 1e-8, 0.1}, step.number, 0.5);
    c.input("gradient", {1}, {2 * step.gradient}).accumulated("p", {1}, {before.p});
    c.accumulated("m", {1}, {before.m}).accumulated("v", {1}, {before.v});
    expectValues(c, "p", {step.p});
    expectValues(c, "m", {step.m});
    expectValues(c, "v", {step.v});
    before = step;
  }
  Case norm(OpKind::squaredNorm, "");
  norm.input("x", {3}, {1, -2, 3}).output("out", {1});
  norm.outputs[0].kind = Operand::Kind::alwaysDouble;
  expectValues(norm, "out", {14});
}

const Registered registered(
    valueTests(), {
                      {"activation", activationValues, {OpKind::activation}},
                      {"attention", attentionValues, {OpKind::attention}},
                      {"dropout", dropoutValues, {OpKind::dropout}},
                      {"elementwise", elementwiseValues, {OpKind::add, OpKind::scale}},
                      {"linear", linearValues, {OpKind::linear}},
                      {"lookup", lookupValues, {OpKind::embeddingSum, OpKind::embeddingBackward, OpKind::gatherRows}},
                      {"loraLinear", loraLinearValues, {OpKind::loraLinear}},
                      {"bf16", bf16Values, {OpKind::linear, OpKind::loraLinear}},
                      {"loss", lossValues, {OpKind::bceWithLogits, OpKind::crossEntropy, OpKind::mse}},
                      {"norm", normValues, {OpKind::layerNorm, OpKind::addLayerNorm}},
                      {"optimizer", optimizerValues, {OpKind::adamw, OpKind::squaredNorm}},
                  });

}  // namespace

void addValueTests(Suite& suite) {
  for (const FormulaTest& test : valueTests()) suite.add("value/" + test.name, test.body);
}

}  // namespace fl::test
