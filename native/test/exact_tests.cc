// What has to hold to the bit on every backend: dropout masks, an adapter that is still zero, and
// that a value which is not finite is seen. What may differ by rounding is compare_tests.cc's.
#include <cmath>
#include <limits>

#include "test/cases.h"
#include "test/tests.h"

namespace fl::test {
namespace {

std::vector<double> identity(int64_t n) {
  std::vector<double> m(static_cast<size_t>(n * n), 0.0);
  for (int64_t i = 0; i < n; i++) m[static_cast<size_t>(i * n + i)] = 1;
  return m;
}

void ones(Operand& o) { o.values.assign(o.values.size(), 1.0); }
void zeros(Operand& o) { o.values.assign(o.values.size(), 0.0); }

/// Cases in which an element of `output` is zero where the mask is, and only there.
std::vector<std::pair<Case, std::string>> maskCases() {
  Random random(201);
  std::vector<std::pair<Case, std::string>> cases;
  for (const bool tokenIndex : {false, true})
    for (const double p : {0.1, 0.5}) {
      Case dropout = dropoutCase(random, 259, 133, p, tokenIndex);
      ones(dropout.in("x"));
      cases.emplace_back(dropout, "y");

      Case norm = addLayerNormCase(random, 259, 133, p, tokenIndex);
      ones(norm.in("x"));
      zeros(norm.in("residual"));
      cases.emplace_back(norm, "z");
      cases.emplace_back(normBackwardOf(addLayerNormCase(random, 37, 133, p, tokenIndex), random, 15), "dx");

      Case lora = loraLinearCase(random, 61, 131, 17, {131, p, tokenIndex}, {});
      ones(lora.in("x"));
      lora.in("A").values = identity(131);
      cases.emplace_back(lora, "u");
      Case loraBackward = loraLinearBackwardOf(lora, random, true);
      zeros(loraBackward.in("W"));
      cases.emplace_back(loraBackward, "dx");
    }
  // With q = 0 every P is 1 / length; v = identity makes y the masked P itself.
  Case attention = attentionCase(random, {{32, 32, 32}, 2, 32, 0.1});
  zeros(attention.in("q"));
  std::vector<double>& v = attention.in("v").values;
  for (int64_t t = 0; t < 96; t++)
    for (int64_t j = 0; j < 64; j++) v[static_cast<size_t>(t * 64 + j)] = t % 32 == j % 32 ? 1 : 0;
  cases.emplace_back(attention, "y");
  return cases;
}

void masks(const std::string& name) {
  Backend& backend = backendOrSkip(name);
  for (auto& [c, output] : maskCases()) {
    roundToFloat(c);
    const Outcome want = truth(c), got = run(c, backend, DType::f32);
    const std::vector<double>& expected = outputOf(c, want, output);
    const std::vector<double>& found = outputOf(c, got, output);
    size_t dropped = 0;
    for (size_t i = 0; i < expected.size(); i++) {
      dropped += expected[i] == 0;
      if ((expected[i] == 0) == (found[i] == 0)) continue;
      check(false, name + ", " + c.title() + ": the mask differs at " + output + "[" + std::to_string(i) + "]");
      break;
    }
    check(dropped > expected.size() / 20 && dropped < expected.size(), c.title() + ": no mask in the test case");
  }
}

/// The plain linear op on the operands of a loraLinear case.
Case plainLinearOf(const Case& lora) {
  Case c(OpKind::linear, lora.label);
  c.attributes.set("activation", std::string(lora.attributes.text("activation", "none")));
  for (const char* name : {"x", "W", "b", "residual"}) c.inputs.push_back(lora.in(name));
  c.outputs.push_back(lora.out("y"));
  if (lora.outputs.size() > 2) c.outputs.push_back(lora.out("preActivation"));
  return c;
}

void freshAdapterChangesNothing(const std::string& name) {
  Backend& backend = backendOrSkip(name);
  for (Case& lora : loraLinearCases()) {
    roundToFloat(lora);
    zeros(lora.in("B"));
    const Case plain = plainLinearOf(lora);
    for (const bool packed : {false, true}) {
      const Outcome with = run(lora, backend, DType::f32, packed), without = run(plain, backend, DType::f32, packed);
      Outcome withY = {with[0]};
      if (with.size() > 2) withY.push_back(with[2]);
      checkIdentical(plain, name + ", loraLinear with B = 0 against linear", withY, without);
    }
  }
}

/// A NaN or Inf anywhere in `input` has to reach `output`.
void expectSeen(const Case& original, Backend& backend, const std::string& input, const std::string& output) {
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    const size_t count = original.in(input).values.size();
    for (const size_t at : {size_t{0}, count / 2, count - 1}) {
      Case c = original;
      c.in(input).values[at] = bad;
      const Outcome outcome = run(c, backend, DType::f32);
      bool seen = false;
      for (double v : outputOf(c, outcome, output)) seen = seen || !std::isfinite(v);
      check(seen, std::string(backend.name()) + ", " + c.title() + ": " + text(bad) + " at " + input + "[" +
                      std::to_string(at) + "] does not reach " + output);
    }
  }
}

void notFinite(const std::string& name) {
  Backend& backend = backendOrSkip(name);
  Random random(202);
  for (const char* activation : {"none", "gelu", "geluTanh", "relu"})
    expectSeen(activationCase(OpKind::activation, random, 5, 19, activation), backend, "x", "y");
  for (const char* activation : {"none", "gelu", "geluTanh", "relu", "tanh"})
    expectSeen(activationCase(OpKind::activationBackward, random, 5, 19, activation), backend, "dy", "dx");
  expectSeen(layerNormCase(random, 5, 19), backend, "x", "y");
  expectSeen(addLayerNormCase(random, 5, 19, 0, false), backend, "x", "y");
  expectSeen(addLayerNormCase(random, 5, 19, 0, false), backend, "residual", "y");
  for (const char* operand : {"q", "k", "v"})
    expectSeen(attentionCase(random, {{5, 19}, 2, 16, 0}), backend, operand, "y");
  for (const char* operand : {"x", "W", "b"})
    expectSeen(linearCase(random, 5, 19, 17, {true, false, "gelu"}), backend, operand, "y");
  for (const char* operand : {"x", "A", "B"})
    expectSeen(loraLinearCase(random, 5, 19, 17, {3, 0, false}, {}), backend, operand, "y");
  expectSeen(crossEntropyCase(OpKind::crossEntropy, random, {5, 3, false, 0, 0}), backend, "logits", "loss");
  expectSeen(bceWithLogitsCase(OpKind::bceWithLogits, random, 5, 3), backend, "logits", "loss");
  expectSeen(mseCase(OpKind::mse, random, 5, 1), backend, "x", "loss");
  for (Case& c : squaredNormCases()) expectSeen(c, backend, "x", "out");
}

/// Queries by themselves give the bits that they give among all others, and the gradients that the
/// others' zeros leave.
void queriesAlone(const std::string& name) {
  Backend& backend = backendOrSkip(name);
  Random random(203);
  const std::vector<int64_t> tokens = {0, 5, 6, 39, 40, 71};
  for (const double dropout : {0.0, 0.1}) {
    AttentionShape shape{{7, 33, 32}, 2, 32, dropout};
    Case all = attentionCase(random, shape);
    shape.queries = tokens;
    Case some = attentionCase(random, shape);
    const auto take = [&](const std::vector<double>& from, std::vector<double>& to) {
      const size_t width = to.size() / tokens.size();
      for (size_t i = 0; i < tokens.size(); i++)
        std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(tokens[i]) * width), width,
                    to.begin() + static_cast<std::ptrdiff_t>(i * width));
    };
    for (const char* operand : {"k", "v"}) some.in(operand).values = all.in(operand).values;
    take(all.in("q").values, some.in("q").values);
    const auto same = [&](const Case& wide, const Case& narrow, const char* output, bool ofQueries) {
      const std::vector<double> whole = outputOf(wide, run(wide, backend, DType::f32), output);
      const std::vector<double> part = outputOf(narrow, run(narrow, backend, DType::f32), output);
      std::vector<double> expected(part);
      if (ofQueries)
        take(whole, expected);
      else
        expected = whole;
      check(expected == part, std::string(backend.name()) + ", " + narrow.title() + ": " + output + " has other bits");
    };
    same(all, some, "y", true);
    same(all, some, "logsumexp", true);

    Case allBackward = attentionBackwardOf(all, random, 7), someBackward = attentionBackwardOf(some, random, 7);
    std::vector<double>& dy = allBackward.in("dy").values;
    const std::vector<double> full = dy;
    take(full, someBackward.in("dy").values);
    std::fill(dy.begin(), dy.end(), 0.0);
    const size_t width = dy.size() / 72;
    for (int64_t token : tokens)
      for (size_t j = 0; j < width; j++)
        dy[static_cast<size_t>(token) * width + j] = full[static_cast<size_t>(token) * width + j];
    for (const char* operand : {"y", "logsumexp"})
      take(allBackward.in(operand).values, someBackward.in(operand).values);
    same(allBackward, someBackward, "dq", true);
    same(allBackward, someBackward, "dk", false);
    same(allBackward, someBackward, "dv", false);
  }
}

}  // namespace

void addExactTests(Suite& suite) {
  for (const std::string& backend : suite.options().backends) {
    suite.add("exact/masks/" + backend, [backend] { masks(backend); });
    suite.add("exact/freshAdapter/" + backend, [backend] { freshAdapterChangesNothing(backend); });
    suite.add("exact/queriesAlone/" + backend, [backend] { queriesAlone(backend); });
    suite.add("exact/notFinite/" + backend, [backend] { notFinite(backend); });
  }
}

}  // namespace fl::test
