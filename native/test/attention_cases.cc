// Cases of attention and its gradient: lengths, head sizes, dropout, queries alone in any order.
// The other ops' cases: product_cases.cc, row_cases.cc, other_cases.cc.
#include <algorithm>

#include "test/cases.h"
#include "test/op_test.h"

namespace fl::test {

Case attentionCase(Random& random, const AttentionShape& shape) {
  std::vector<double> cuSeqlens = {0};
  std::string label = "lengths";
  for (int64_t length : shape.lengths) {
    cuSeqlens.push_back(cuSeqlens.back() + static_cast<double>(length));
    if (cuSeqlens.size() < 7) label += " " + std::to_string(length);
  }
  if (shape.lengths.size() > 5) label += " ... (" + std::to_string(shape.lengths.size()) + ")";
  const auto tokens = static_cast<int64_t>(cuSeqlens.back());
  const int64_t hidden = shape.heads * shape.headDim;
  Case c(OpKind::attention, label + " heads=" + std::to_string(shape.heads) + " D=" + std::to_string(shape.headDim) +
                                " p=" + std::to_string(shape.dropout));
  c.attributes.set("numHeads", static_cast<double>(shape.heads)).set("dropout", shape.dropout).set("site", 9);
  c.step = someStep();
  const int64_t queries = shape.queries.empty() ? tokens : static_cast<int64_t>(shape.queries.size());
  c.input("q", {queries, hidden}, random.normals(queries * hidden));
  for (const char* name : {"k", "v"}) c.input(name, {tokens, hidden}, random.normals(tokens * hidden));
  c.index("cuSeqlens", std::move(cuSeqlens));
  if (!shape.queries.empty()) {
    c.index("queryRows", {shape.queries.begin(), shape.queries.end()});
    c.label += " queries=" + std::to_string(queries);
  }
  return c.output("y", {queries, hidden}, 1).output("logsumexp", {queries, shape.heads}, 1);
}

Case attentionBackwardOf(const Case& forward, Random& random, unsigned outputs) {
  const int64_t queries = forward.in("q").dim[0], tokens = forward.in("k").dim[0], hidden = forward.in("q").dim[1];
  const Outcome saved = truth(forward);
  Case c(OpKind::attentionBackward, forward.label + " outputs=" + std::to_string(outputs));
  c.attributes = forward.attributes;
  c.step = forward.step;
  c.input("dy", {queries, hidden}, random.normals(queries * hidden));
  c.input("q", {queries, hidden}, forward.in("q").values);
  for (const char* name : {"k", "v"}) c.input(name, {tokens, hidden}, forward.in(name).values);
  c.input("y", {queries, hidden}, outputOf(forward, saved, "y"));
  c.input("logsumexp", {queries, forward.out("logsumexp").dim[1]}, outputOf(forward, saved, "logsumexp"));
  c.index("cuSeqlens", forward.in("cuSeqlens").values);
  if (forward.inputs.size() > 4) c.index("queryRows", forward.in("queryRows").values);
  unsigned bit = 1;
  for (const char* name : {"dq", "dk", "dv"}) {
    const int64_t rows = bit == 1 ? queries : tokens;
    (outputs & bit) != 0 ? c.output(name, {rows, hidden}, 1) : c.absentOutput(name);
    bit <<= 1;
  }
  return c;
}

std::vector<Case> attentionCases(OpKind op) {
  Random random(31);
  std::vector<int64_t> everyLength, mixed;
  for (int64_t length = 1; length <= 34; length++) everyLength.push_back(length);
  for (int64_t length : {63, 64, 65, 1, 96, 127, 128, 129, 130}) mixed.push_back(length);
  std::vector<AttentionShape> shapes = {
      {{1}, 1, 16, 0},          {{1, 1, 1}, 2, 16, 0.1}, {everyLength, 2, 16, 0}, {everyLength, 1, 32, 0.1},
      {mixed, 2, 32, 0},        {mixed, 1, 64, 0.1},     {{512}, 1, 64, 0},       {{512}, 1, 32, 0.1},
      {{20, 7, 33}, 12, 64, 0}, {{31, 40}, 12, 32, 0.1}, {{17, 5}, 2, 128, 0},    {{17, 5}, 1, 128, 0.1},
      {{9, 30}, 3, 20, 0.1},    {{5, 0, 6}, 2, 16, 0},   {{13, 8}, 2, 96, 0},     {{13, 8}, 1, 7, 0}};
  for (int64_t length = 35; length <= 130; length += 19) shapes.push_back({{length}, 2, 24, length % 2 == 0 ? 0.1 : 0});
  // Some tokens alone: the first of each sequence, several and none of one, more than a block, in
  // no order and twice.
  shapes.push_back({{7, 1, 33}, 3, 32, 0.1, {0, 7, 8}});
  shapes.push_back({{7, 20, 33}, 2, 16, 0, {0, 3, 6, 30, 31, 59}});
  shapes.push_back({{40, 12}, 2, 24, 0.1, {45, 3, 41, 3, 39, 44}});
  shapes.push_back({{512}, 1, 32, 0.1, {}});
  for (int64_t token = 0; token < 512; token += 7) shapes.back().queries.push_back(token);
  std::vector<Case> cases;
  for (const AttentionShape& shape : shapes) {
    Case c = attentionCase(random, shape);
    cases.push_back(op == OpKind::attention ? c : attentionBackwardOf(c, random, 7));
  }
  if (op == OpKind::attentionBackward) {
    for (unsigned outputs = 1; outputs < 7; outputs++)
      cases.push_back(attentionBackwardOf(attentionCase(random, {{11, 18}, 2, 16, 0.1}), random, outputs));
    return cases;
  }
  cases.push_back(attentionCase(random, {{11, 18}, 2, 16, 0.1}));
  cases.back().outputs.resize(1);
  cases.back().label += " y alone";
  // Scores far over the range of exp, all equal: the softmax must subtract the largest.
  cases.push_back(attentionCase(random, {{21, 40}, 2, 16, 0}));
  for (const char* name : {"q", "k"})
    std::fill(cases.back().in(name).values.begin(), cases.back().in(name).values.end(), 64.0);
  cases.back().label += " large scores";
  cases.push_back(attentionCase(random, {{21, 40}, 2, 16, 0}));
  cases.back().attributes.set("scale", 0.125);
  cases.back().label += " own scale";
  return cases;
}

namespace {

Case full(OpKind op, Random& random) {
  const Case forward = attentionCase(random, {{5, 2}, 3, 4, 0.1, {6, 1, 0, 2}});
  return op == OpKind::attention ? forward : attentionBackwardOf(forward, random, 7);
}

const Registered registered(opCases(), {{OpKind::attention, attentionCases, full},
                                        {OpKind::attentionBackward, attentionCases, full}});

}  // namespace

}  // namespace fl::test
