// NF4 weights on every backend: what a product expands has the bits of runtime/nf4.h, whatever
// block, byte or tile a value lies in. The values themselves are held against bitsandbytes' in
// test/oracle/nf4.test.ts, products against the reference in product_tests.cc and compare_tests.cc.
#include <cmath>
#include <cstring>
#include <limits>

#include "runtime/nf4.h"
#include "test/cases.h"
#include "test/tests.h"

namespace fl::test {
namespace {

/// W as it is held, by the host's formulas.
std::vector<float> expanded(const std::vector<float>& values) {
  const auto count = static_cast<int64_t>(values.size());
  std::vector<uint8_t> codes(static_cast<size_t>((count + 1) / 2)), scaleCodes;
  std::vector<float> scales, nested(static_cast<size_t>(nf4::nestedOf(count))), out(values.size());
  for (int64_t first = 0; first < count; first += nf4::kBlock) {
    const int64_t length = std::min(nf4::kBlock, count - first);
    scales.push_back(nf4::scaleOf(values.data() + first, length));
    nf4::quantiseBlock(values.data() + first, length, scales.back(), codes.data() + first / 2);
  }
  scaleCodes.resize(scales.size());
  const float mean =
      nf4::quantiseScales(scales.data(), static_cast<int64_t>(scales.size()), scaleCodes.data(), nested.data());
  nf4::expand({codes.data(), scaleCodes.data(), nested.data(), mean}, 0, count, out.data());
  return out;
}

/// W comes out of dy W with dy = 1, and its transpose out of x W^T with x = 1.
void expectValues(Backend& backend, int64_t rows, int64_t cols, const std::vector<float>& values) {
  const std::vector<float> want = expanded(values);
  for (const bool forward : {false, true}) {
    const int64_t n = forward ? cols : rows, width = forward ? rows : cols;
    Case c(forward ? OpKind::linear : OpKind::linearBackwardInput, shapeText({n, cols, rows}));
    c.attributes.set("baseWeights", std::string("nf4"));
    std::vector<double> one(static_cast<size_t>(n * n), 0.0);
    for (int64_t i = 0; i < n; i++) one[static_cast<size_t>(i * n + i)] = 1;
    c.input(forward ? "x" : "dy", {n, n}, one).input("W", {rows, cols}, {values.begin(), values.end()});
    c.output(forward ? "y" : "dx", {n, width});
    for (const bool packed : {false, true}) {
      const Outcome got = run(c, backend, DType::f32, packed);
      int64_t wrong = 0;
      for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < cols; k++) {
          const double found = got[0][static_cast<size_t>(forward ? k * rows + r : r * cols + k)];
          wrong += found != static_cast<double>(want[static_cast<size_t>(r * cols + k)]);
        }
      check(wrong == 0, std::string(backend.name()) + ", " + c.title() + (packed ? ", packed: " : ": ") +
                            std::to_string(wrong) + " values have other bits than the formula");
    }
  }
}

void values(const std::string& name) {
  Backend& backend = backendOrSkip(name);
  if (!backend.holds(BaseWeights::nf4)) skip(name + " holds no weights in NF4");
  Random random(51);
  struct Shape {
    int64_t rows, cols;
  };
  // A single value, odd ones, blocks that end inside a row, more than 256 blocks.
  for (const Shape& s : {Shape{1, 1}, Shape{3, 5}, Shape{7, 64}, Shape{9, 72}, Shape{33, 31}, Shape{130, 131}}) {
    std::vector<float> W;
    for (const double v : random.normals(s.rows * s.cols, 0.05)) W.push_back(static_cast<float>(v));
    expectValues(backend, s.rows, s.cols, W);
  }
  // Blocks of zeros, of one size and of very different ones.
  std::vector<float> W(64 * 12, 0.0f);
  for (size_t i = 0; i < 64; i++) W[64 + i] = i % 2 == 0 ? 0.25f : -0.25f;
  for (size_t i = 0; i < 64; i++) W[128 + i] = std::ldexp(1.0f, static_cast<int>(i) - 32);
  for (size_t i = 0; i < 64; i++) W[192 + i] = 1e-39f * static_cast<float>(i);
  expectValues(backend, 12, 64, W);
}

}  // namespace

void addNf4Tests(Suite& suite) {
  for (const std::string& backend : suite.options().backends)
    suite.add("nf4/values/" + backend, [backend] { values(backend); });
}

}  // namespace fl::test
