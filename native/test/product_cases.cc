// Cases of linear and loraLinear with their gradients: every row count, sizes of real layers,
// corners of tiles. In precision bf16 they are the same with rounded operands. All lists are called
// from cases.cc.
#include <cmath>

#include "test/cases.h"
#include "test/op_test.h"

namespace fl::test {
namespace {

const char* const kActivations[] = {"none", "gelu", "geluTanh", "relu", "tanh"};

// Weights with entries of 1 / sqrt(fan in), so that outputs are of order 1 as in a model.
std::vector<double> weights(Random& random, int64_t out, int64_t in) {
  return random.normals(out * in, 1 / std::sqrt(static_cast<double>(in)));
}

void setActivation(Case& c, const Epilogue& epilogue) {
  c.attributes.set("activation", epilogue.activation);
  c.label += " " + epilogue.activation + (epilogue.bias ? " bias" : "") + (epilogue.residual ? " residual" : "");
}

struct Shape {
  int64_t rows, in, out;
};

/// Every row count with odd sizes, then sizes of real layers and the corners of tiles.
std::vector<Shape> productShapes() {
  std::vector<Shape> shapes;
  for (int64_t rows : rowCounts()) shapes.push_back({rows, 37, 29});
  for (const Shape& s : {Shape{1, 1, 1}, Shape{3, 1, 65}, Shape{19, 64, 1}, Shape{13, 16, 32}, Shape{14, 48, 33},
                         Shape{15, 129, 63}, Shape{29, 256, 257}, Shape{64, 768, 768}, Shape{257, 128, 384},
                         Shape{513, 65, 97}, Shape{17, 3072, 768}, Shape{30, 768, 3072}, Shape{33, 768, 2}})
    shapes.push_back(s);
  return shapes;
}

Epilogue epilogueOf(size_t i) { return {i % 2 == 0, i / 2 % 2 == 1, kActivations[i % 5]}; }

}  // namespace

Case linearCase(Random& random, int64_t rows, int64_t in, int64_t out, const Epilogue& epilogue) {
  Case c(OpKind::linear, shapeText({rows, in, out}));
  setActivation(c, epilogue);
  c.input("x", {rows, in}, random.normals(rows * in)).input("W", {out, in}, weights(random, out, in));
  epilogue.bias ? c.input("b", {out}, random.normals(out)) : c.absent("b");
  if (epilogue.residual) c.input("residual", {rows, out}, random.normals(rows * out));
  c.output("y", {rows, out}, 1);
  if (epilogue.activation != "none") c.output("preActivation", {rows, out}, 1);
  return c;
}

namespace {

/// The last two operands of a product that makes a gradient.
void addGradientEpilogue(Case& c, Random& random, int64_t rows, int64_t in, const Epilogue& epilogue) {
  setActivation(c, epilogue);
  const bool slope = epilogue.activation != "none";
  slope ? c.input("preActivation", {rows, in}, random.normals(rows * in)) : c.absent("preActivation");
  if (epilogue.residual) c.input("residual", {rows, in}, random.normals(rows * in));
}

}  // namespace

Case linearBackwardInputCase(Random& random, int64_t rows, int64_t in, int64_t out, const Epilogue& epilogue) {
  Case c(OpKind::linearBackwardInput, shapeText({rows, in, out}));
  c.input("dy", {rows, out}, random.normals(rows * out)).input("W", {out, in}, weights(random, out, in));
  addGradientEpilogue(c, random, rows, in, epilogue);
  return c.output("dx", {rows, in}, 1);
}

Case linearBackwardWeightCase(Random& random, int64_t rows, int64_t in, int64_t out) {
  Case c(OpKind::linearBackwardWeight, shapeText({rows, in, out}));
  c.input("dy", {rows, out}, random.normals(rows * out)).input("x", {rows, in}, random.normals(rows * in));
  return c.accumulated("dW", {out, in}, random.normals(out * in));
}

Case biasBackwardCase(Random& random, int64_t rows, int64_t out) {
  Case c(OpKind::biasBackward, shapeText({rows, out}));
  c.input("dy", {rows, out}, random.normals(rows * out));
  return c.accumulated("db", {out}, random.normals(out));
}

Case loraLinearCase(Random& random, int64_t rows, int64_t in, int64_t out, const Lora& lora, const Epilogue& epilogue) {
  Case c(OpKind::loraLinear, shapeText({rows, in, out}) + " r=" + std::to_string(lora.rank) +
                                 " p=" + std::to_string(lora.dropout) + (lora.tokenIndex ? " tokenIndex" : ""));
  setActivation(c, epilogue);
  c.attributes.set("scaling", 2.0).set("dropout", lora.dropout).set("site", 7);
  c.step = someStep();
  c.input("x", {rows, in}, random.normals(rows * in)).input("W", {out, in}, weights(random, out, in));
  epilogue.bias ? c.input("b", {out}, random.normals(out)) : c.absent("b");
  c.input("A", {lora.rank, in}, weights(random, lora.rank, in));
  c.input("B", {out, lora.rank}, weights(random, out, lora.rank));
  epilogue.residual ? c.input("residual", {rows, out}, random.normals(rows * out)) : c.absent("residual");
  if (lora.tokenIndex) c.index("tokenIndex", gappedTokens(rows));
  c.output("y", {rows, out}, 1).output("u", {rows, lora.rank}, 1);
  if (epilogue.activation != "none") c.output("preActivation", {rows, out}, 1);
  return c;
}

Case loraLinearBackwardOf(const Case& forward, Random& random, bool withDx, const Epilogue& epilogue) {
  const int64_t rows = forward.in("x").dim[0], in = forward.in("x").dim[1], out = forward.in("W").dim[0];
  const int64_t rank = forward.in("A").dim[0];
  Case c(OpKind::loraLinearBackward, forward.label + (withDx ? "" : " without dx"));
  c.attributes = forward.attributes;
  c.attributes.set("activation", std::string("none"));
  c.step = forward.step;
  c.input("dy", {rows, out}, random.normals(rows * out)).input("x", {rows, in}, forward.in("x").values);
  c.input("u", {rows, rank}, outputOf(forward, truth(forward), "u"));
  withDx ? c.input("W", {out, in}, forward.in("W").values) : c.absent("W");
  c.input("A", {rank, in}, forward.in("A").values).input("B", {out, rank}, forward.in("B").values);
  forward.inputs.size() > 6 ? c.index("tokenIndex", forward.in("tokenIndex").values) : c.absent("tokenIndex");
  if (withDx) addGradientEpilogue(c, random, rows, in, epilogue);
  withDx ? c.output("dx", {rows, in}, 1) : c.absentOutput("dx");
  c.accumulated("dA", {rank, in}, random.normals(rank * in));
  c.accumulated("dB", {out, rank}, random.normals(out * rank));
  return c;
}

std::vector<Case> linearCases() {
  Random random(11);
  std::vector<Case> cases;
  for (const char* activation : kActivations)
    for (unsigned flags = 0; flags < 4; flags++)
      cases.push_back(linearCase(random, 9, 23, 35, {(flags & 1) != 0, (flags & 2) != 0, activation}));
  for (const Shape& s : productShapes())
    cases.push_back(linearCase(random, s.rows, s.in, s.out, epilogueOf(cases.size())));
  return cases;
}

std::vector<Case> linearBackwardInputCases() {
  Random random(12);
  std::vector<Case> cases;
  for (const char* activation : kActivations)
    for (bool residual : {false, true})
      cases.push_back(linearBackwardInputCase(random, 9, 35, 23, {false, residual, activation}));
  for (const Shape& s : productShapes())
    cases.push_back(linearBackwardInputCase(random, s.rows, s.in, s.out, epilogueOf(cases.size())));
  return cases;
}

std::vector<Case> linearBackwardWeightCases() {
  Random random(13);
  std::vector<Case> cases;
  for (const Shape& s : productShapes()) cases.push_back(linearBackwardWeightCase(random, s.rows, s.in, s.out));
  return cases;
}

std::vector<Case> biasBackwardCases() {
  Random random(14);
  std::vector<Case> cases;
  for (int64_t rows : rowCounts()) cases.push_back(biasBackwardCase(random, rows, 37));
  cases.push_back(biasBackwardCase(random, 1000, 768));
  cases.push_back(biasBackwardCase(random, 256, 1));
  cases.push_back(biasBackwardCase(random, 512, 100));
  return cases;
}

std::vector<Case> loraLinearCases() {
  Random random(15);
  std::vector<Case> cases;
  for (const char* activation : kActivations)
    for (unsigned flags = 0; flags < 4; flags++) {
      const Epilogue epilogue{(flags & 1) != 0, (flags & 2) != 0, activation};
      cases.push_back(loraLinearCase(random, 9, 23, 35, {3, 0, false}, epilogue));
      cases.push_back(loraLinearCase(random, 15, 70, 33, {8, 0.1, flags % 2 == 0}, epilogue));
    }
  for (int64_t rank : {1, 2, 3, 4, 8, 16, 31, 64, 256})
    for (double dropout : {0.0, 0.1})
      cases.push_back(loraLinearCase(random, 19, 97, 83, {rank, dropout, rank % 2 == 1}, epilogueOf(cases.size())));
  for (const Shape& s : productShapes())
    cases.push_back(loraLinearCase(random, s.rows, s.in, s.out, {8, cases.size() % 3 == 0 ? 0.1 : 0, false},
                                   epilogueOf(cases.size())));
  return cases;
}

std::vector<Case> loraLinearBackwardCases() {
  Random random(16);
  std::vector<Case> cases;
  const auto add = [&](const Shape& s, const Lora& lora) {
    const size_t i = cases.size();
    cases.push_back(
        loraLinearBackwardOf(loraLinearCase(random, s.rows, s.in, s.out, lora, {}), random, i % 4 != 3, epilogueOf(i)));
  };
  for (int64_t rank : {1, 2, 3, 4, 8, 16, 31, 64, 256})
    for (double dropout : {0.0, 0.1})
      for (bool tokenIndex : {false, true}) add({19, 97, 83}, {rank, dropout, tokenIndex});
  for (const Shape& s : productShapes()) add(s, {8, cases.size() % 3 == 0 ? 0.1 : 0, false});
  return cases;
}

namespace {

/// Whole multiples of `unit`, at most `most` of them.
void onGrid(Operand& o, double unit, double most) {
  for (double& v : o.values) v = unit * std::fmax(-most, std::fmin(most, std::round(v / unit)));
}

/// Ten bits, of which bf16 keeps eight: sums of a few thousand products with the five bits below
/// are exact in fp32.
void coarse(Operand& o) { onGrid(o, 1.0 / 256, 1023); }
void coarseFactors(Operand& o) {
  double largest = 0;
  for (double v : o.values) largest = std::fmax(largest, std::fabs(v));
  onGrid(o, std::exp2(std::ceil(std::log2(std::fmax(largest, 1e-30))) - 4), 16);
}

}  // namespace

Case inBf16(Case c) {
  c.attributes.set("precision", std::string("bf16"));
  c.label += " bf16";
  const bool forward = c.op == OpKind::loraLinear || c.op == OpKind::segmentedLoraLinear;
  if (!forward && c.op != OpKind::loraLinearBackward && c.op != OpKind::segmentedLoraLinearBackward) return c;
  // A masked value is x times a power of two.
  if (c.attributes.number("dropout", 0) > 0) c.attributes.set("dropout", 0.5);
  coarse(c.in(forward ? "x" : "dy"));
  coarseFactors(c.in("A"));
  coarseFactors(c.in("B"));
  return c;
}

std::vector<Case> bf16CasesOf(OpKind op) {
  std::vector<Case> cases;
  for (Case& c : casesOf(op)) cases.push_back(inBf16(std::move(c)));
  return cases;
}

namespace {

const Registered registered(opCases(),
                            {
                                {OpKind::linear, [](OpKind) { return linearCases(); },
                                 [](OpKind, Random& random) {
                                   return linearCase(random, 4, 6, 5, {true, true, "gelu"});
                                 }},
                                {OpKind::linearBackwardInput, [](OpKind) { return linearBackwardInputCases(); },
                                 [](OpKind, Random& random) {
                                   return linearBackwardInputCase(random, 4, 6, 5, {false, true, "gelu"});
                                 }},
                                {OpKind::linearBackwardWeight, [](OpKind) { return linearBackwardWeightCases(); },
                                 [](OpKind, Random& random) { return linearBackwardWeightCase(random, 4, 6, 5); }},
                                {OpKind::biasBackward, [](OpKind) { return biasBackwardCases(); },
                                 [](OpKind, Random& random) { return biasBackwardCase(random, 4, 6); }},
                                {OpKind::loraLinear, [](OpKind) { return loraLinearCases(); },
                                 [](OpKind, Random& random) {
                                   return loraLinearCase(random, 4, 6, 5, {3, 0.1, true}, {true, true, "gelu"});
                                 }},
                                {OpKind::loraLinearBackward, [](OpKind) { return loraLinearBackwardCases(); },
                                 [](OpKind, Random& random) {
                                   return loraLinearBackwardOf(loraLinearCase(random, 4, 6, 5, {3, 0.1, true}, {}),
                                                               random, true, {false, true, "gelu"});
                                 }},
                            });

}  // namespace

}  // namespace fl::test
