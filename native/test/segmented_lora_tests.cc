// Cases and tests of segmentedLoraLinear and its backward op: formula, gradients, and that a row
// has the bits of loraLinear (or linear) on its segment alone. The lists of cases of the plain ops
// are in product_cases.cc.
#include <cmath>
#include <cstdlib>

#include "ops/segmented_lora_linear.h"
#include "test/cases.h"
#include "test/op_test.h"
#include "test/tests.h"

namespace fl::test {
namespace {

struct Slot {
  int64_t rows, rank;
  double scaling = 2;
};

struct Batch {
  std::vector<Slot> slots;
  /// Rows behind the last slot, which have no adapter.
  int64_t bare = 0;
  int64_t in = 23, out = 35, mostRank = 8;
  double dropout = 0;

  int64_t count() const { return static_cast<int64_t>(slots.size()); }
  int64_t rows() const {
    int64_t sum = bare;
    for (const Slot& s : slots) sum += s.rows;
    return sum;
  }
};

std::vector<double> scaled(Random& random, int64_t count, int64_t fanIn) {
  return random.normals(count, 1 / std::sqrt(static_cast<double>(fanIn)));
}

Case forwardCase(Random& random, const Batch& b, const Epilogue& epilogue) {
  const int64_t rows = b.rows(), G = b.count();
  std::string label = shapeText({rows, b.in, b.out}) + " most=" + std::to_string(b.mostRank) +
                      " p=" + std::to_string(b.dropout) + " " + epilogue.activation + " slots";
  for (const Slot& s : b.slots) label += " " + std::to_string(s.rows) + ":" + std::to_string(s.rank);
  Case c(OpKind::segmentedLoraLinear, label);
  c.attributes.set("activation", epilogue.activation).set("dropout", b.dropout).set("site", 7);
  c.step = someStep();
  std::vector<double> settings, ends;
  for (const Slot& s : b.slots) {
    settings.insert(settings.end(), {static_cast<double>(s.rank), s.scaling});
    ends.push_back((ends.empty() ? 0 : ends.back()) + static_cast<double>(s.rows));
  }
  c.input("x", {rows, b.in}, random.normals(rows * b.in)).input("W", {b.out, b.in}, scaled(random, b.out * b.in, b.in));
  epilogue.bias ? c.input("b", {b.out}, random.normals(b.out)) : c.absent("b");
  c.input("A", {G * b.mostRank, b.in}, scaled(random, G * b.mostRank * b.in, b.in));
  c.input("B", {G * b.out, b.mostRank}, scaled(random, G * b.out * b.mostRank, b.mostRank));
  c.input("settings", {G, 2}, settings).index("ends", ends);
  epilogue.residual ? c.input("residual", {rows, b.out}, random.normals(rows * b.out)) : c.absent("residual");
  if (b.dropout > 0) c.index("tokenIndex", gappedTokens(rows));
  c.output("y", {rows, b.out}, 1).output("u", {rows, b.mostRank}, 1);
  if (epilogue.activation != "none") c.output("preActivation", {rows, b.out}, 1);
  return c;
}

/// Bits of `without`: 1: no dA, 2: no dB.
Case backwardOf(const Case& forward, Random& random, bool withDx, const Epilogue& epilogue, unsigned without = 0) {
  const int64_t rows = forward.in("x").dim[0], in = forward.in("x").dim[1], out = forward.in("W").dim[0];
  const Operand &A = forward.in("A"), &B = forward.in("B");
  Case c(OpKind::segmentedLoraLinearBackward, forward.label + (withDx ? "" : " without dx"));
  c.attributes = forward.attributes;
  c.attributes.set("activation", withDx ? epilogue.activation : "none");
  c.step = forward.step;
  c.input("dy", {rows, out}, random.normals(rows * out)).input("x", {rows, in}, forward.in("x").values);
  c.input("u", {rows, B.dim[1]}, outputOf(forward, truth(forward), "u"));
  withDx ? c.input("W", {out, in}, forward.in("W").values) : c.absent("W");
  c.input("A", {A.dim[0], in}, A.values).input("B", {B.dim[0], B.dim[1]}, B.values);
  const Operand& settings = forward.in("settings");
  c.input("settings", {settings.dim[0], 2}, settings.values).index("ends", forward.in("ends").values);
  forward.inputs.size() > 8 ? c.index("tokenIndex", forward.in("tokenIndex").values) : c.absent("tokenIndex");
  if (withDx) {
    epilogue.activation != "none" ? c.input("preActivation", {rows, in}, random.normals(rows * in))
                                  : c.absent("preActivation");
    if (epilogue.residual) c.input("residual", {rows, in}, random.normals(rows * in));
  }
  withDx ? c.output("dx", {rows, in}, 1) : c.absentOutput("dx");
  without & 1 ? c.absentOutput("dA") : c.accumulated("dA", {A.dim[0], in}, random.normals(A.dim[0] * in));
  if (without & 2) return c.absentOutput("dB");
  return c.accumulated("dB", {B.dim[0], B.dim[1]}, random.normals(B.dim[0] * B.dim[1]));
}

/// Segments of every kind: empty ones, of one row, ranks of both ways to make u, no adapter at all,
/// rows that no tile or chunk divides.
std::vector<Batch> batches() {
  return {
      {{{3, 2}, {4, 5, 0.5}}, 2},
      {{{1, 8}, {1, 8}, {1, 3}}},
      {{{0, 4}, {9, 8}, {0, 0}, {5, 0}, {7, 1}}},
      {{{0, 4}, {0, 4}}, 5},
      {{{17, 31}, {13, 4}, {29, 64}}, 3, 97, 83, 64},
      {{{33, 8}, {65, 16}, {14, 24}}, 0, 64, 65, 256},
      {{{257, 8}, {300, 4}, {1, 2}}, 19, 40, 37},
      {{{40, 8}, {23, 8}, {31, 8}, {19, 8}, {27, 8}, {35, 8}, {11, 8}, {38, 8}}, 0, 256, 192},
      {{{5, 6}, {11, 3}}, 4, 4097, 20},
      {{}, 0},
  };
}

Epilogue epilogueOf(size_t i) {
  const char* const activations[] = {"none", "gelu", "geluTanh", "relu", "tanh"};
  return {i % 2 == 0, i / 2 % 2 == 1, activations[i % 5]};
}

std::vector<Case> forwardCases() {
  Random random(41);
  std::vector<Case> cases;
  for (Batch b : batches())
    for (const double dropout : {0.0, 0.1}) {
      if (b.slots.empty()) b.slots.push_back({0, 4});
      b.dropout = dropout;
      cases.push_back(forwardCase(random, b, epilogueOf(cases.size())));
    }
  return cases;
}

std::vector<Case> backwardCases() {
  Random random(42);
  std::vector<Case> cases;
  for (Batch b : batches())
    for (const double dropout : {0.0, 0.1}) {
      if (b.slots.empty()) b.slots.push_back({0, 4});
      b.dropout = dropout;
      const size_t i = cases.size();
      cases.push_back(backwardOf(forwardCase(random, b, {}), random, i % 4 != 3, epilogueOf(i / 2 + i),
                                 i < 8 ? static_cast<unsigned>(i % 3) : 0));
    }
  return cases;
}

const Batch kFull{{{3, 2}, {2, 3, 0.5}}, 2, 8, 5, 3, 0.1};

/// Rows [first, first + rows) of a matrix.
std::vector<double> rowsOf(const std::vector<double>& values, int64_t cols, int64_t first, int64_t rows) {
  const auto begin = values.begin() + first * cols;
  return {begin, begin + rows * cols};
}

/// The segments of a case, as host memory gives them.
std::vector<Segment> segmentsOfCase(const Case& c) {
  std::vector<int32_t> ends;
  for (const double end : c.in("ends").values) ends.push_back(static_cast<int32_t>(end));
  std::vector<double> settings = c.in("settings").values;
  const auto slots = static_cast<int64_t>(ends.size());
  return segmentsOf<double>(Tensor::of(ends.data(), DType::i32, {slots}),
                            Tensor::of(settings.data(), DType::f64, {slots, 2}), c.in("x").dim[0], c.in("B").dim[1]);
}

/// What loraLinear, or linear, has as operands and results for the rows of one segment.
struct Alone {
  const Case& whole;
  const Segment& s;
  int64_t in, out, most;

  Alone(const Case& c, const Segment& segment)
      : whole(c),
        s(segment),
        in(c.in("x").dim[1]),
        out(c.in("B").dim[0] / c.in("ends").dim[0]),
        most(c.in("B").dim[1]) {}

  std::vector<double> rows(const Operand& o) const { return rowsOf(o.values, o.dim[1], s.first, s.rows()); }
  std::vector<double> partOfA(const std::vector<double>& A) const { return rowsOf(A, in, s.slot * most, s.rank); }
  std::vector<double> partOfB(const std::vector<double>& B) const {
    const auto begin = B.begin() + s.slot * out * most;
    return {begin, begin + out * s.rank};
  }
  std::vector<double> partOfU(const std::vector<double>& u) const {
    const auto begin = u.begin() + s.first * most;
    return {begin, begin + s.rows() * s.rank};
  }
  std::vector<double> tokens() const {
    const std::vector<double>& all = whole.in("tokenIndex").values;
    return {all.begin() + s.first, all.begin() + s.end};
  }
  Case start(OpKind op) const {
    Case c(op, whole.label + ", slot " + std::to_string(s.slot) + " alone");
    if (s.rank > 0) {
      c.attributes = whole.attributes;
      c.attributes.set("scaling", s.scaling);
    } else {  // what of them a bare linear op has
      c.attributes.set("activation", std::string(whole.attributes.text("activation", "none")));
      c.attributes.set("precision", std::string(whole.attributes.text("precision", "fp32")));
    }
    c.step = whole.step;
    return c;
  }
  bool has(const char* name) const {
    for (const Operand& o : whole.inputs)
      if (o.name == name) return o.present();
    return false;
  }
  void input(Case& c, const char* name, int64_t cols) const {
    has(name) ? c.input(name, {s.rows(), cols}, rows(whole.in(name))) : c.absent(name);
  }
};

Case forwardAlone(const Alone& a) {
  const bool ranked = a.s.rank > 0;
  Case c = a.start(ranked ? OpKind::loraLinear : OpKind::linear);
  c.input("x", {a.s.rows(), a.in}, a.rows(a.whole.in("x"))).input("W", {a.out, a.in}, a.whole.in("W").values);
  a.has("b") ? c.input("b", {a.out}, a.whole.in("b").values) : c.absent("b");
  if (ranked)
    c.input("A", {a.s.rank, a.in}, a.partOfA(a.whole.in("A").values))
        .input("B", {a.out, a.s.rank}, a.partOfB(a.whole.in("B").values));
  a.input(c, "residual", a.out);
  if (ranked && a.has("tokenIndex")) c.index("tokenIndex", a.tokens());
  c.output("y", {a.s.rows(), a.out});
  if (ranked) c.output("u", {a.s.rows(), a.s.rank});
  if (a.whole.attributes.text("activation", "none") != "none") c.output("preActivation", {a.s.rows(), a.out});
  return c;
}

std::vector<double> zeros(int64_t count) { return std::vector<double>(static_cast<size_t>(count)); }

Case backwardAlone(const Alone& a) {
  const bool ranked = a.s.rank > 0, withDx = a.has("W");
  Case c = a.start(ranked ? OpKind::loraLinearBackward : OpKind::linearBackwardInput);
  c.input("dy", {a.s.rows(), a.out}, a.rows(a.whole.in("dy")));
  if (ranked) {
    c.input("x", {a.s.rows(), a.in}, a.rows(a.whole.in("x")));
    c.input("u", {a.s.rows(), a.s.rank}, a.partOfU(a.whole.in("u").values));
  }
  withDx ? c.input("W", {a.out, a.in}, a.whole.in("W").values) : c.absent("W");
  if (ranked) {
    c.input("A", {a.s.rank, a.in}, a.partOfA(a.whole.in("A").values));
    c.input("B", {a.out, a.s.rank}, a.partOfB(a.whole.in("B").values));
    a.has("tokenIndex") ? c.index("tokenIndex", a.tokens()) : c.absent("tokenIndex");
  }
  a.input(c, "preActivation", a.in);
  a.input(c, "residual", a.in);
  withDx ? c.output("dx", {a.s.rows(), a.in}) : c.absentOutput("dx");
  if (ranked) {
    // loraLinear makes both always.
    const Operand &dA = a.whole.out("dA"), &dB = a.whole.out("dB");
    c.accumulated("dA", {a.s.rank, a.in}, dA.present() ? a.partOfA(dA.values) : zeros(a.s.rank * a.in));
    c.accumulated("dB", {a.out, a.s.rank}, dB.present() ? a.partOfB(dB.values) : zeros(a.out * a.s.rank));
  }
  return c;
}

/// A row has the same bits in whatever company it comes: those of the plain op on its segment.
void sameBitsAsAlone(const std::string& name, Precision precision) {
  Backend& backend = backendOrSkip(name);
  if (backend.find(OpKind::segmentedLoraLinear, DType::f32, precision) == nullptr)
    skip(name + " does not implement segmentedLoraLinear in this precision");
  const char* const path = std::getenv("FUSED_LORA_CUDA_PATH");
  if (name == "cuda" && precision == Precision::bf16 && path && std::string(path) == "sm90a")
    skip("segments keep to the portable kernels, the plain ops are those of compute capability 9.0 here");
  for (const bool isForward : {true, false})
    for (Case& c : isForward ? forwardCases() : backwardCases()) {
      if (precision == Precision::bf16) c = inBf16(c);
      roundToFloat(c);
      const Outcome all = run(c, backend, DType::f32);
      for (const Segment& s : segmentsOfCase(c)) {
        const Alone a(c, s);
        const Case alone = isForward ? forwardAlone(a) : backwardAlone(a);
        if (alone.op == OpKind::linearBackwardInput && !a.has("W")) continue;  // nothing to do
        Outcome one = run(alone, backend, DType::f32), part;
        for (size_t i = 0; i < alone.outputs.size(); i++) {
          const Operand& o = alone.outputs[i];
          const std::vector<double>& whole = outputOf(c, all, o.name);
          if (whole.empty()) one[i].clear();
          part.push_back(whole.empty()    ? whole
                         : o.name == "dA" ? a.partOfA(whole)
                         : o.name == "dB" ? a.partOfB(whole)
                         : o.name == "u"  ? a.partOfU(whole)
                                          : rowsOf(whole, o.dim[1], s.first, s.rows()));
        }
        checkIdentical(alone, name + ", in a mixed batch", part, one);
      }
    }
}

/// Other rows, another adapter in another slot and another order of slots change no bit of a row.
void companyChangesNothing(const std::string& name) {
  Backend& backend = backendOrSkip(name);
  Random random(43);
  Case c = forwardCase(random, {{{7, 4}, {9, 8}, {6, 2}}, 5, 70, 45}, {true, false, "gelu"});
  roundToFloat(c);
  const std::vector<double> before = run(c, backend, DType::f32)[0];
  Case other = c;
  for (const auto& [from, to] : {std::pair<int64_t, int64_t>{0, 7}, {16, 27}})
    for (int64_t i = from * 70; i < to * 70; i++) other.in("x").values[static_cast<size_t>(i)] = 3;
  for (int64_t i = 0; i < 8 * 70; i++) other.in("A").values[static_cast<size_t>(i)] = -1;
  other.in("settings").values[0] = 8;
  const std::vector<double> after = run(other, backend, DType::f32)[0];
  check(rowsOf(before, 45, 7, 9) == rowsOf(after, 45, 7, 9), name + ": rows of slot 1 have other bits");
  check(rowsOf(before, 45, 0, 7) != rowsOf(after, 45, 0, 7), name + ": slot 0 did not change");
}

/// Ranks beyond what a slot holds, and what is no number, touch no memory but the slot's.
void badRanks(const std::string& name) {
  Backend& backend = backendOrSkip(name);
  Random random(44);
  for (const double rank : {-3.0, 1e30, std::nan("")}) {
    Case c = forwardCase(random, {{{5, 3}, {4, 8}}, 2}, {});
    Case clean = c;
    c.in("settings").values[2] = rank;
    clean.in("settings").values[2] = rank > 0 ? 8 : 0;
    checkIdentical(c, name, run(c, backend, DType::f32), run(clean, backend, DType::f32));
  }
}

// Two slots of rank 1 and a bare row: u = s x A^T is [6] and [-4], as in loraLinearValues.
void values() {
  Case c(OpKind::segmentedLoraLinear, "");
  c.input("x", {3, 2}, {1, 2, 3, 4, 5, 6}).input("W", {2, 2}, {1, 0, 0, 1}).input("b", {2}, {10, 20});
  c.input("A", {4, 2}, {1, 1, 9, 9, 0, -1, 9, 9}).input("B", {4, 2}, {1, -1, 9, 9, 2, 0, 9, 9});
  c.input("settings", {2, 2}, {1, 2, 1, 1}).index("ends", {1, 2}).output("y", {3, 2}).output("u", {3, 2});
  expectValues(c, "u", {6, 0, -4, 0, 0, 0});
  expectValues(c, "y", {11 + 6, 22 - 6, 13 - 8, 24, 15, 26});
}

void gradients() {
  Random random(45);
  for (const double dropout : {0.0, 0.3}) {
    Batch b{{{2, 2}, {0, 1}, {3, 1, 0.5}}, 1, 4, 3, 2, dropout};
    const Case forward = forwardCase(random, b, {true, true, "none"});
    checkBackward(forward, backwardOf(forward, random, true, {}), {{"dx", "x"}, {"dA", "A"}, {"dB", "B"}});
    checkBackward(forward, backwardOf(forward, random, false, {}), {{"dA", "A"}, {"dB", "B"}});
  }
}

const Registered cases(opCases(),
                       {
                           {OpKind::segmentedLoraLinear, [](OpKind) { return forwardCases(); },
                            [](OpKind, Random& random) {
                              return forwardCase(random, kFull, {true, true, "gelu"});
                            }},
                           {OpKind::segmentedLoraLinearBackward, [](OpKind) { return backwardCases(); },
                            [](OpKind, Random& random) {
                              return backwardOf(forwardCase(random, kFull, {}), random, true, {false, true, "gelu"});
                            }},
                       });
const Registered formula(valueTests(), {{"segmentedLoraLinear", values, {OpKind::segmentedLoraLinear}}});
const Registered backward(gradientTests(), {{"segmentedLoraLinear",
                                             gradients,
                                             {OpKind::segmentedLoraLinear, OpKind::segmentedLoraLinearBackward}}});

}  // namespace

void addSegmentedLoraTests(Suite& suite) {
  for (const std::string& backend : suite.options().backends) {
    const std::string name = "segments/" + backend + "/";
    for (const Precision precision : {Precision::fp32, Precision::bf16})
      suite.add(name + "sameBitsAsAlone/" + std::string(nameOf(precision)),
                [=] { sameBitsAsAlone(backend, precision); });
    suite.add(name + "company", [=] { companyChangesNothing(backend); });
    suite.add(name + "badRanks", [=] { badRanks(backend); });
  }
}

}  // namespace fl::test
