// Cases and tests of fastfood and its transpose: sizes below, at and above a power of two, parts of
// a block, gains; values by hand, gradients, and what V is drawn to be. The op: ops/fastfood.h.
#include "ops/fastfood.h"

#include <cmath>
#include <set>

#include "test/cases.h"
#include "test/op_test.h"
#include "test/tests.h"

namespace fl::test {
namespace {

struct Shape {
  int64_t dimension, rows;
  /// 0: without gains.
  int64_t gains = 0;
  double block = 0;
  /// Rows of base and y, which are the same values whatever their shape.
  int64_t high = 1;
};

Case started(OpKind op, const Shape& s) {
  Case c(op, shapeText({s.dimension, s.rows}) + " gains=" + std::to_string(s.gains));
  // Sums of n terms of order one, twice.
  double n = 1;
  while (n < static_cast<double>(s.dimension)) n *= 2;
  c.attributes.set("seed", 9007199254740991.0 - static_cast<double>(s.rows)).set("block", s.block);
  c.attributes.set("scale", 1 / n);
  if (s.gains > 0) c.attributes.set("gain", static_cast<double>(s.gains - 1));
  return c;
}

Case forwardCase(Random& random, const Shape& s) {
  Case c = started(OpKind::fastfood, s);
  c.input("z", {s.dimension}, random.normals(s.dimension));
  c.input("base", {s.high, s.rows / s.high}, random.normals(s.rows));
  s.gains > 0 ? c.input("gains", {s.gains}, random.normals(s.gains)) : c.absent("gains");
  return c.output("y", {s.high, s.rows / s.high}, 1);
}

/// Bits of `without`: 1: no dz, 2: no dgains.
Case backwardCase(Random& random, const Shape& s, unsigned without = 0) {
  Case c = started(OpKind::fastfoodBackward, s);
  const double size = std::sqrt(static_cast<double>(s.rows));
  c.input("dy", {s.high, s.rows / s.high}, random.normals(s.rows));
  c.input("z", {s.dimension}, random.normals(s.dimension));
  s.gains > 0 ? c.input("gains", {s.gains}, random.normals(s.gains)) : c.absent("gains");
  without & 1 ? c.absentOutput("dz") : c.accumulated("dz", {s.dimension}, random.normals(s.dimension));
  if (s.gains == 0 || without & 2) return c.absentOutput("dgains");
  c.accumulated("dgains", {s.gains}, random.normals(s.gains));
  c.out("dgains").magnitude = size * std::sqrt(static_cast<double>(s.dimension));
  return c;
}

std::vector<Shape> shapes() {
  return {{1, 1},       {1, 9, 2},       {2, 3},     {3, 4, 1},      {5, 64, 3}, {8, 8, 2, 17},
          {10, 2000},   {16, 4111, 4},   {100, 129}, {128, 1000, 2}, {130, 700}, {513, 40},
          {1024, 2051}, {1500, 8200, 3}, {2048, 1},  {3000, 4097, 2}};
}

std::vector<Case> cases(OpKind op) {
  Random random(61);
  std::vector<Case> all;
  for (const Shape& s : shapes())
    all.push_back(op == OpKind::fastfood ? forwardCase(random, s)
                                         : backwardCase(random, s, static_cast<unsigned>(all.size() % 3)));
  return all;
}

// n = 2: H = [1 1; 1 -1]; of block 3 by its own draws.
void values() {
  const FastfoodBlock block(7, 3, 2);
  double g[4];
  block.normals(0, g);
  const double x[2] = {block.negative(0) ? -2.0 : 2.0, block.negative(1) ? 5.0 : -5.0};
  const double t[2] = {x[0] + x[1], x[0] - x[1]};
  const double u[2] = {g[0] * t[block.source(0)], g[1] * t[block.source(1)]};
  Case c(OpKind::fastfood, "");
  c.attributes.set("seed", 7).set("block", 3).set("scale", 0.5).set("gain", 1);
  c.input("z", {2}, {2, -5}).input("base", {1, 2}, {10, 20}).input("gains", {2}, {9, 4}).output("y", {1, 2});
  expectValues(c, "y", {10 + 2 * (u[0] + u[1]), 20 + 2 * (u[0] - u[1])});
}

void gradients() {
  Random random(62);
  for (const Shape& s : {Shape{1, 3}, Shape{5, 11, 3, 2}, Shape{8, 8, 1}, Shape{9, 40, 2}}) {
    const Case forward = forwardCase(random, s);
    Case backward = backwardCase(random, s);
    backward.attributes = forward.attributes;
    backward.in("z").values = forward.in("z").values;
    if (s.gains > 0) backward.in("gains").values = forward.in("gains").values;
    checkBackward(forward, backward, {{"dz", "z"}});
    if (s.gains > 0) checkBackward(forward, backward, {{"dgains", "gains"}});
  }
}

// Each place once; blocks, seeds and places that differ.
void permutations() {
  for (const int64_t n : {1, 2, 4, 8, 64, 1024, 8192})
    for (const uint64_t seed : {uint64_t{0}, uint64_t{1} << 40}) {
      const FastfoodBlock block(seed, 5, n), other(seed, 6, n);
      std::set<int64_t> places;
      int64_t same = 0;
      for (int64_t i = 0; i < n; i++) {
        const int64_t at = block.source(i);
        check(at >= 0 && at < n, "a place outside of the block");
        places.insert(at);
        same += at == other.source(i) ? 1 : 0;
      }
      check(static_cast<int64_t>(places.size()) == n, "a place twice of " + std::to_string(n));
      check(n < 64 || same < n / 8, "two blocks have one permutation");
    }
}

// Moments of 2^18 normal numbers and signs, within five of their deviations; tails that are there.
void distributions() {
  const double count = 1 << 18;
  double sum = 0, squares = 0, fourth = 0, signs = 0, beyond = 0;
  for (int64_t b = 0; b < 4; b++) {
    const FastfoodBlock block(11, b, 1 << 16);
    for (int64_t i = 0; i < 1 << 16; i++) {
      double quad[4];
      if (i % 4 == 0) {
        block.normals(i / 4, quad);
        for (const double g : quad) {
          sum += g;
          squares += g * g;
          fourth += g * g * g * g;
          beyond += std::fabs(g) > 3 ? 1 : 0;
        }
      }
      signs += block.negative(i) ? -1 : 1;
    }
  }
  const double root = std::sqrt(count);
  check(std::fabs(sum) < 5 * root && std::fabs(signs) < 5 * root, "a mean that is not 0");
  check(std::fabs(squares - count) < 5 * std::sqrt(2.0) * root, "a variance that is not 1");
  check(std::fabs(fourth - 3 * count) < 5 * std::sqrt(96.0) * root, "a fourth moment that is not 3");
  check(std::fabs(beyond - 0.0026998 * count) < 5 * std::sqrt(0.0026998) * root, "tails that are too thin or thick");
}

const Registered registeredCases(opCases(), {
                                                {OpKind::fastfood, cases,
                                                 [](OpKind, Random& random) {
                                                   return forwardCase(random, {5, 14, 3, 0, 2});
                                                 }},
                                                {OpKind::fastfoodBackward, cases,
                                                 [](OpKind, Random& random) {
                                                   return backwardCase(random, {5, 14, 3, 0, 2});
                                                 }},
                                            });
const Registered registeredGradients(gradientTests(),
                                     {{"fastfood", gradients, {OpKind::fastfood, OpKind::fastfoodBackward}}});
const Registered registeredValues(valueTests(), {{"fastfood", values, {OpKind::fastfood}},
                                                 {"fastfoodPermutation", permutations, {}},
                                                 {"fastfoodDistribution", distributions, {}}});

}  // namespace
}  // namespace fl::test
