// Products of int8 codes: the bits of the formula of ops/base_weights.h on every instruction set
// that this CPU has, at the extremes, and for each row whatever stands beside it. Against the
// float64 reference they are in product_tests.cc.
#include <cmath>
#include <cstring>
#include <limits>

#include "cpu/dispatch.h"
#include "cpu/gemm/product.h"
#include "runtime/int8.h"
#include "runtime/thread_pool.h"
#include "test/cases.h"
#include "test/tests.h"

namespace fl::test {
namespace {

struct Matrix {
  int64_t rows, cols;
  std::vector<float> values;

  static Matrix random(Random& random, int64_t rows, int64_t cols) {
    Matrix m{rows, cols, {}};
    for (const double v : random.normals(rows * cols)) m.values.push_back(static_cast<float>(v));
    return m;
  }
  static Matrix filled(int64_t rows, int64_t cols, float value) {
    return {rows, cols, std::vector<float>(static_cast<size_t>(rows * cols), value)};
  }
  const float* row(int64_t r) const { return values.data() + r * cols; }
  Tensor tensor() const { return Tensor::of(const_cast<float*>(values.data()), DType::f32, {rows, cols}); }
};

/// A row as codes, one value after the other.
struct Codes {
  Int8Scale scale;
  std::vector<int64_t> codes;

  Codes(const float* values, int64_t count) : scale(int8ScaleOf(largestOf(values, count))) {
    for (int64_t i = 0; i < count; i++) codes.push_back(int8CodeOf(values[i], scale));
  }
};

int64_t dot(const Codes& a, const Codes& b) {
  int64_t sum = 0;
  for (size_t i = 0; i < a.codes.size(); i++) sum += a.codes[i] * b.codes[i];
  return sum;
}

/// The formula, in fp32 as it is written.
Matrix expectedOutput(const Matrix& x, const Matrix& W) {
  Matrix y = Matrix::filled(x.rows, W.rows, 0);
  std::vector<Codes> weights;
  for (int64_t n = 0; n < W.rows; n++) weights.emplace_back(W.row(n), W.cols);
  for (int64_t r = 0; r < x.rows; r++) {
    const Codes left(x.row(r), x.cols);
    for (int64_t n = 0; n < W.rows; n++) {
      const Codes& right = weights[static_cast<size_t>(n)];
      y.values[static_cast<size_t>(r * W.rows + n)] =
          static_cast<float>(dot(left, right)) * (left.scale.scale * right.scale.scale);
    }
  }
  return y;
}

Matrix expectedGradient(const Matrix& dy, const Matrix& W) {
  Matrix dx = Matrix::filled(dy.rows, W.cols, 0);
  std::vector<Codes> weights;
  for (int64_t n = 0; n < W.rows; n++) weights.emplace_back(W.row(n), W.cols);
  for (int64_t r = 0; r < dy.rows; r++) {
    std::vector<float> scaled;
    for (int64_t n = 0; n < W.rows; n++) scaled.push_back(dy.row(r)[n] * weights[static_cast<size_t>(n)].scale.scale);
    const Codes left(scaled.data(), W.rows);
    for (int64_t k = 0; k < W.cols; k++) {
      int64_t sum = 0;
      for (size_t n = 0; n < weights.size(); n++) sum += left.codes[n] * weights[n].codes[static_cast<size_t>(k)];
      dx.values[static_cast<size_t>(r * W.cols + k)] = static_cast<float>(sum) * left.scale.scale;
    }
  }
  return dx;
}

/// x W^T, or dy W, by the kernels of an instruction set.
Matrix product(Isa isa, const Matrix& left, const Matrix& W, cpu::WeightUse use) {
  Matrix result = Matrix::filled(left.rows, use == cpu::WeightUse::forward ? W.rows : W.cols, -1);
  cpu::Product p(cpu::kernelsFor(Precision::fp32, isa));
  p.int8 = cpu::int8Weight(cpu::int8Kernels(isa), W.tensor(), use);
  p.m = left.rows;
  p.n = result.cols;
  p.k = p.lda = left.cols;
  p.a = left.values.data();
  p.c = result.values.data();
  cpu::multiply(p);
  return result;
}

void expectBits(const Matrix& got, const Matrix& want, const std::string& what) {
  const size_t bytes = want.values.size() * sizeof(float);
  check(got.values.size() == want.values.size() && std::memcmp(got.values.data(), want.values.data(), bytes) == 0,
        what + " has other bits than the formula");
}

void everyIsa(const Matrix& left, const Matrix& W, const Matrix& want, cpu::WeightUse use, const std::string& what) {
  for (const Isa isa : kAllIsas)
    if (canRun(isa)) expectBits(product(isa, left, W, use), want, what + " on " + std::string(nameOf(isa)));
}

/// Rows around the ends of tiles and of jobs, columns around a panel's ends, k around a step's and
/// a vector's.
void bits() {
  Random random(41);
  const int threads = ThreadPool::instance().threads();
  struct Shape {
    int64_t rows, in, out;
  };
  for (const Shape& s :
       {Shape{1, 1, 1}, Shape{2, 3, 7}, Shape{5, 4, 8}, Shape{6, 37, 33}, Shape{13, 64, 15}, Shape{15, 70, 31},
        Shape{29, 255, 65}, Shape{3, 1027, 5}, Shape{33, 130, 17}, Shape{200, 96, 48}}) {
    const Matrix W = Matrix::random(random, s.out, s.in);
    const Matrix x = Matrix::random(random, s.rows, s.in), dy = Matrix::random(random, s.rows, s.out);
    const Matrix y = expectedOutput(x, W), dx = expectedGradient(dy, W);
    for (const int count : {1, 3}) {
      ThreadPool::instance().setThreads(count);
      everyIsa(x, W, y, cpu::WeightUse::forward, "x W^T " + shapeText({s.rows, s.in, s.out}));
      everyIsa(dy, W, dx, cpu::WeightUse::backward, "dy W " + shapeText({s.rows, s.in, s.out}));
    }
  }
  ThreadPool::instance().setThreads(threads);
}

/// Every code at 127 or -127, in the longest sums that are taken: the largest sum is 127 * 127 *
/// 131,072 = 2,114,060,288. Two such products side by side are where 8-bit instructions that
/// saturate give 32,767.
void extremes() {
  constexpr int64_t longest = 131'072;
  for (const float sign : {1.0f, -1.0f}) {
    Matrix W = Matrix::filled(9, longest, 1);
    for (int64_t k = 0; k < longest; k++) W.values[static_cast<size_t>(longest + k)] = k % 2 == 0 ? 1.0f : -1.0f;
    Matrix x = Matrix::filled(2, longest, sign);
    for (int64_t k = 0; k < longest; k++) x.values[static_cast<size_t>(longest + k)] = k % 2 == 0 ? -1.0f : 1.0f;
    const Matrix y = expectedOutput(x, W);
    check(std::fabs(y.values[0] - sign * static_cast<float>(longest)) < 1, "the formula does not give the sum of ones");
    everyIsa(x, W, y, cpu::WeightUse::forward, "the longest sum of largest codes");
    Matrix across = Matrix::filled(longest, 5, sign), dy = Matrix::filled(2, longest, 1);
    everyIsa(dy, across, expectedGradient(dy, across), cpu::WeightUse::backward, "the longest sum of dx");
  }
}

/// Sizes from the least to the largest fp32, zero rows and rows that are not finite.
void scales() {
  Random random(42);
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float size : {0.0f, 1e-45f, 1e-38f, 0x1p-121f, 0x1p-120f, 1e-30f, 1e30f, 3e38f}) {
    Matrix W = Matrix::random(random, 9, 21), x = Matrix::random(random, 3, 21);
    for (int64_t k = 0; k < 21; k++) x.values[static_cast<size_t>(k)] = k == 3 ? size : size / 7;
    W.values[5] = size;
    everyIsa(x, W, expectedOutput(x, W), cpu::WeightUse::forward, "a row of size " + text(size));
  }
  for (const float value : {infinity, -infinity, std::nanf("")}) {
    const Matrix W = Matrix::random(random, 9, 21);
    Matrix x = Matrix::random(random, 3, 21);
    const Matrix before = expectedOutput(x, W);
    x.values[21 + 5] = value;
    for (const Isa isa : kAllIsas) {
      if (!canRun(isa)) continue;
      const Matrix y = product(isa, x, W, cpu::WeightUse::forward);
      for (size_t i = 0; i < y.values.size(); i++) {
        const bool same = std::memcmp(&y.values[i], &before.values[i], sizeof(float)) == 0;
        check(i / 9 == 1 ? std::isnan(y.values[i]) : same,
              std::string(nameOf(isa)) + ": a row with " + text(value) + " shows in another, or not in its own");
      }
    }
  }
}

/// An answer does not depend on its batch: a row alone has the bits that it has among others, one
/// of them fifty times as large.
void rowsAlone() {
  Random random(43);
  const Matrix W = Matrix::random(random, 33, 64);
  Matrix x = Matrix::random(random, 17, 64);
  for (int64_t k = 0; k < 64; k++) x.values[static_cast<size_t>(3 * 64 + k)] *= 50;
  const Matrix all = product(selectedIsa(), x, W, cpu::WeightUse::forward);
  for (int64_t r = 0; r < 17; r++) {
    const Matrix one{1, 64, {x.row(r), x.row(r) + 64}};
    const Matrix alone = product(selectedIsa(), one, W, cpu::WeightUse::forward);
    expectBits(alone, {1, 33, {all.row(r), all.row(r) + 33}}, "row " + std::to_string(r) + " alone");
  }
}

void refusals() {
  Random random(44);
  const auto refused = [](const Case& c, const std::string& code, const std::string& words) {
    try {
      run(c, cpuBackend(), DType::f32);
      check(false, c.title() + " was accepted");
    } catch (const Error& e) {
      check(e.code() == code && std::string(e.what()).find(words) != std::string::npos,
            c.title() + " gives " + e.code() + ": " + e.what());
    }
  };
  Case c = linearCase(random, 1, 131'073, 1, {});
  c.attributes.set("baseWeights", std::string("int8"));
  refused(c, "INVALID_SHAPE", "131072");
  Case unknown = linearCase(random, 1, 2, 3, {});
  unknown.attributes.set("baseWeights", std::string("int4"));
  refused(unknown, "INVALID_ARGUMENT", "int4");
}

std::vector<double> wide(const Matrix& m) { return {m.values.begin(), m.values.end()}; }

/// The op by a backend, W as a tensor and as a parameter that keeps its copies.
void expectOpBits(Backend& backend, OpKind op, const Matrix& left, const Matrix& W, const Matrix& want) {
  Case c(op, shapeText({left.rows, W.cols, W.rows}));
  const bool forward = op == OpKind::linear;
  c.attributes.set("baseWeights", std::string("int8"));
  c.input(forward ? "x" : "dy", {left.rows, left.cols}, wide(left)).input("W", {W.rows, W.cols}, wide(W));
  c.output(forward ? "y" : "dx", {want.rows, want.cols});
  for (const bool packed : {false, true}) {
    Matrix got = want;
    const Outcome outcome = run(c, backend, DType::f32, packed);
    for (size_t i = 0; i < got.values.size(); i++) got.values[i] = static_cast<float>(outcome[0][i]);
    for (size_t i = 0; i < got.values.size(); i++)
      if (std::isnan(want.values[i]) && std::isnan(got.values[i])) got.values[i] = want.values[i];
    expectBits(got, want, std::string(backend.name()) + ", " + c.title() + (packed ? ", packed" : ""));
  }
}

/// The bits of the formula on every backend with such products: shapes around tiles, rows of all
/// sizes, sums of largest codes.
void otherBackends(const std::string& name) {
  Backend& backend = backendOrSkip(name);
  if (!backend.holds(BaseWeights::int8)) skip(name + " has no products of int8 codes");
  if (name == "reference") skip("its products are exact, and rounded once");
  Random random(45);
  struct Shape {
    int64_t rows, in, out;
  };
  for (const Shape& s :
       {Shape{1, 1, 1}, Shape{2, 3, 7}, Shape{13, 64, 15}, Shape{15, 70, 31}, Shape{65, 255, 65}, Shape{67, 130, 97}}) {
    const Matrix W = Matrix::random(random, s.out, s.in);
    const Matrix x = Matrix::random(random, s.rows, s.in), dy = Matrix::random(random, s.rows, s.out);
    expectOpBits(backend, OpKind::linear, x, W, expectedOutput(x, W));
    expectOpBits(backend, OpKind::linearBackwardInput, dy, W, expectedGradient(dy, W));
  }
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float size : {0.0f, 1e-45f, 1e-38f, 0x1p-121f, 0x1p-120f, 1e-30f, 1e30f, 3e38f, infinity, std::nanf("")}) {
    Matrix W = Matrix::random(random, 9, 21), x = Matrix::random(random, 3, 21);
    for (int64_t k = 0; k < 21; k++) x.values[static_cast<size_t>(k)] = k == 3 ? size : size / 7;
    W.values[5] = size;
    expectOpBits(backend, OpKind::linear, x, W, expectedOutput(x, W));
  }
  const Matrix ones = Matrix::filled(3, 4'099, 1), W = Matrix::filled(2, 4'099, -1);
  expectOpBits(backend, OpKind::linear, ones, W, expectedOutput(ones, W));
}

/// Rows of a table, looked up: the bits of code * scale, and NaN for rows that are not finite.
void tables(const std::string& name) {
  Backend& backend = backendOrSkip(name);
  if (name == "reference") skip("its products are exact, and rounded once");
  Random random(46);
  for (const int64_t hidden : {1, 7, 64, 130, 1'031}) {
    Matrix table = Matrix::random(random, 9, hidden);
    const float sizes[] = {0.0f, 1e-38f, 1e30f, std::numeric_limits<float>::infinity(), std::nanf("")};
    for (size_t v = 0; v < std::size(sizes); v++) table.values[v * static_cast<size_t>(hidden)] = sizes[v];
    Case c(OpKind::embeddingSum, shapeText({9, hidden}));
    c.attributes.set("baseWeights", std::string("int8"));
    c.index("ids0", {8, 7, 6, 5, 4, 3, 2, 1, 0}).input("table0", {9, hidden}, wide(table)).output("y", {9, hidden});
    for (const bool packed : {false, true}) {
      const Outcome outcome = run(c, backend, DType::f32, packed);
      for (int64_t v = 0; v < 9; v++) {
        const Codes row(table.row(v), hidden);
        for (int64_t j = 0; j < hidden; j++) {
          const auto got = static_cast<float>(outcome[0][static_cast<size_t>((8 - v) * hidden + j)]);
          const float want = static_cast<float>(row.codes[static_cast<size_t>(j)]) * row.scale.scale;
          check(v == 3 || v == 4 ? std::isnan(got) : got == want,
                name + ": row " + std::to_string(v) + " of " + c.title() + " gives " + text(got));
        }
      }
    }
  }
}

void refusedTable() {
  Random random(47);
  Case c = embeddingSumCase(random, 3, 4, 1);
  c.attributes.set("baseWeights", std::string("nf4"));
  try {
    run(c, cpuBackend(), DType::f32);
    check(false, "a table in nf4 was accepted");
  } catch (const Error& e) {
    check(std::string(e.what()).find("fp32 or int8, not in nf4") != std::string::npos, e.what());
  }
}

}  // namespace

void addInt8Tests(Suite& suite) {
  suite.add("int8/bits", bits);
  suite.add("int8/extremes", extremes);
  suite.add("int8/scales", scales);
  suite.add("int8/rowsAlone", rowsAlone);
  suite.add("int8/refusals", refusals);
  for (const std::string& backend : suite.options().backends)
    suite.add("int8/backend/" + backend, [backend] { otherBackends(backend); });
  for (const std::string& backend : suite.options().backends)
    suite.add("int8/tables/" + backend, [backend] { tables(backend); });
  suite.add("int8/refusedTable", refusedTable);
}

}  // namespace fl::test
