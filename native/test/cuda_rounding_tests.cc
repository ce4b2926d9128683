// What bf16 products on a tensor core may differ from exact sums by: the tolerance of Case (case.h)
// held against a model of the hardware's rounding in the order of the kernels, eight steps of the
// depth at a time.
#include <cmath>
#include <vector>

#include "emulator/tensor_core_model.h"
#include "runtime/bf16.h"
#include "test/cases.h"
#include "test/tests.h"

namespace fl::test {
namespace {

/// x . w as a kernel adds it up, over depth / `shares` steps in each of `shares` sums that are
/// added in order.
float tensorCoreDot(const std::vector<float>& x, const std::vector<float>& w, size_t shares) {
  std::vector<float> sums(shares);
  for (size_t k = 0; k < x.size(); k += 8) {
    float a[8], b[8];
    for (size_t i = 0; i < 8; i++) {
      a[i] = k + i < x.size() ? x[k + i] : 0.0f;
      b[i] = k + i < x.size() ? w[k + i] : 0.0f;
    }
    float& sum = sums[k / 16 % shares];
    sum = emulator::addEight(sum, a, b);
  }
  float total = 0;
  for (const float sum : sums) total += sum;
  return total;
}

/// Outputs of a layer are of order 1 (weights of 1 / sqrt(depth)): no error above the tolerance,
/// and some above a twentieth of it, so that it is not a loose one.
void toleranceOfSums() {
  Random random(71);
  for (const int64_t depth : {16, 37, 64, 768, 1024, 3072, 4096})
    for (const size_t shares : {size_t{1}, size_t{8}}) {
      double worst = 0;
      for (int trial = 0; trial < 400; trial++) {
        std::vector<float> x, w;
        double exact = 0;
        for (const double v : random.normals(depth)) x.push_back(roundToBf16(static_cast<float>(v)));
        for (const double v : random.normals(depth, 1 / std::sqrt(static_cast<double>(depth))))
          w.push_back(roundToBf16(static_cast<float>(v)));
        for (size_t k = 0; k < x.size(); k++) exact += static_cast<double>(x[k]) * static_cast<double>(w[k]);
        worst = std::fmax(worst, std::fabs(tensorCoreDot(x, w, shares) - exact) / std::fmax(1, std::fabs(exact)));
      }
      const double allowed = 1e-5 + tensorCoreDrift(depth);
      check(worst <= allowed,
            "depth " + std::to_string(depth) + ": error " + text(worst) + ", allowed " + text(allowed));
      if (depth >= 768 && shares == 1)
        check(worst >= allowed / 20,
              "depth " + std::to_string(depth) + ": only " + text(worst) + " of " + text(allowed));
    }
}

/// The model itself: exact where fp32 is, towards zero where not, and not finite where a term is
/// not.
void model() {
  const float zeros[8] = {}, ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  check(emulator::addEight(3.5f, ones, ones) == 11.5f, "small sums are exact");
  check(emulator::addEight(-0.25f, zeros, ones) == -0.25f, "nothing added");
  const float tiny[8] = {std::exp2(-24.0f), std::exp2(-24.0f)};
  check(emulator::addEight(1.0f, tiny, ones) == 1.0f + std::exp2(-23.0f), "two bits below a float's last are kept");
  const float one[8] = {std::exp2(-24.0f) * 1.5f};
  check(emulator::addEight(1.0f, one, ones) == 1.0f, "cut off, not rounded");
  check(emulator::addEight(-1.0f, one, ones) > -1.0f, "towards zero");
  const float infinite[8] = {INFINITY};
  check(std::isinf(emulator::addEight(1.0f, infinite, ones)), "an infinite term");
  check(std::isnan(emulator::addEight(1.0f, infinite, zeros)), "infinity times zero");
}

}  // namespace

void addCudaRoundingTests(Suite& suite) {
  suite.add("cudaRounding/model", model);
  suite.add("cudaRounding/toleranceOfSums", toleranceOfSums);
}

}  // namespace fl::test
