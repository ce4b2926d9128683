// Every compiled copy of the CPU's row kernels that this machine can run: accuracy over the whole
// range of floats, values that are not finite, masks, and that a result does not depend on its
// place in a row. The kernels: cpu/rows/row_kernels.h.
#include <cmath>
#include <cstring>
#include <limits>

#include "cpu/dispatch.h"
#include "runtime/philox.h"
#include "test/tests.h"

namespace fl::test {
namespace {

using cpu::KernelActivation;
using cpu::RowKernels;

double logistic(double x) { return 1 / (1 + std::exp(-x)); }
double twoU(double x) { return 2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x); }
double twoUSlope(double x) { return 2 * std::sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x); }

struct ActivationTruth {
  KernelActivation activation;
  const char* name;
  double (*value)(double);
  double (*slope)(double);
};

const ActivationTruth kActivations[] = {
    {KernelActivation::gelu, "gelu", [](double x) { return x / 2 * std::erfc(-x / std::sqrt(2)); },
     [](double x) { return std::erfc(-x / std::sqrt(2)) / 2 + x * std::exp(-x * x / 2) / std::sqrt(2 * M_PI); }},
    {KernelActivation::geluTanh, "geluTanh", [](double x) { return x * logistic(twoU(x)); },
     [](double x) { return logistic(twoU(x)) + x * logistic(twoU(x)) * logistic(-twoU(x)) * twoUSlope(x); }},
    {KernelActivation::tanh, "tanh", [](double x) { return std::tanh(x); },
     [](double x) { return 1 - std::tanh(x) * std::tanh(x); }},
    {KernelActivation::relu, "relu", [](double x) { return x > 0 ? x : 0; },
     [](double x) { return x > 0 ? 1.0 : 0.0; }},
};

/// Every 4,001st float of either sign up to 1e15 (where the truth in double still holds), and a
/// fine grid around 0.
std::vector<float> sample() {
  std::vector<float> x;
  for (uint32_t bits = 0; bits < 0x58635fa9u; bits += 4001) {
    float f;
    std::memcpy(&f, &bits, sizeof f);
    x.push_back(f);
    x.push_back(-f);
  }
  for (int i = -20000; i <= 20000; i++) x.push_back(static_cast<float>(i) * 1e-3f);
  return x;
}

/// |y - truth| <= tolerance * max(1, |truth|): `tolerance` near 2^-24 is one rounding.
void checkWithin(const std::string& what, const std::vector<float>& x, const std::vector<float>& y,
                 double (*truth)(double), double tolerance) {
  double worst = 0;
  float at = 0;
  for (size_t i = 0; i < x.size(); i++) {
    const double t = truth(x[i]), error = std::abs(y[i] - t) / std::max(1.0, std::abs(t));
    if (!(error <= worst)) worst = error, at = x[i];
  }
  check(worst <= tolerance, what + " is off by " + text(worst) + " at " + text(at));
}

void activations(const RowKernels& kernels) {
  const std::vector<float> x = sample(), ones(x.size(), 1.0f);
  std::vector<float> y(x.size());
  for (const ActivationTruth& c : kActivations) {
    kernels.activation(c.activation, x.data(), y.data(), static_cast<int64_t>(x.size()));
    checkWithin(c.name, x, y, c.value, 1.5e-7);
    kernels.activationBackward(c.activation, ones.data(), x.data(), y.data(), static_cast<int64_t>(x.size()));
    checkWithin(std::string(c.name) + "'", x, y, c.slope, 2.5e-7);
  }
}

void notFinite(const RowKernels& kernels) {
  const float infinity = std::numeric_limits<float>::infinity(), huge = 3e38f;
  const float x[] = {std::nanf(""), infinity, huge, -huge};
  for (const ActivationTruth& c : kActivations) {
    float y[4];
    kernels.activation(c.activation, x, y, 4);
    const float top = c.activation == KernelActivation::tanh ? 1 : infinity;
    check(std::isnan(y[0]), std::string(c.name) + " of NaN is " + text(y[0]));
    check(y[1] == top, std::string(c.name) + " of infinity is " + text(y[1]));
    check(y[2] == std::min(top, huge), std::string(c.name) + " of 3e38 is " + text(y[2]));
    check(y[3] == (c.activation == KernelActivation::tanh ? -1 : 0),
          std::string(c.name) + " of -3e38 is " + text(y[3]));
    const float ones[] = {1, 1};
    kernels.activationBackward(c.activation, ones, x + 2, y, 2);
    const float steep = c.activation == KernelActivation::tanh ? 0 : 1;
    check(y[0] == steep && y[1] == 0, std::string(c.name) + "' of +-3e38 is " + text(y[0]) + ", " + text(y[1]));
  }
}

void exponential(const RowKernels& kernels) {
  std::vector<float> x;
  for (int i = -86400; i <= 88700; i++) x.push_back(static_cast<float>(i) * 1e-3f);
  std::vector<float> y(x.size());
  kernels.expScaleAdd(x.data(), 0, 1, 0, nullptr, y.data(), static_cast<int64_t>(x.size()));
  double worst = 0;
  for (size_t i = 0; i < x.size(); i++)
    worst = std::max(worst, std::abs(y[i] / std::exp(static_cast<double>(x[i])) - 1));
  check(worst < 1.5e-7, "e^x is off by " + text(worst));
  const float edge[] = {-87, -1e30f, -std::numeric_limits<float>::infinity(), 89, std::nanf("")};
  float e[5];
  kernels.expScaleAdd(edge, 0, 1, 0, nullptr, e, 5);
  check(e[0] == 0 && e[1] == 0 && e[2] == 0, "e^x is 0 below -86.5");
  check(std::isinf(e[3]) && std::isnan(e[4]), "e^89 is infinite, e^NaN is NaN");
  check(kernels.sumExp(edge, 0, 3) == 0 && std::isnan(kernels.sumExp(edge, 0, 5)), "sums keep zeros and NaN");
}

void masks(const RowKernels& kernels) {
  const MaskKey key{0x9abcdef012345678u, 3, 9};
  const cpu::Mask mask{3, 9, 0x12345678u, 0x9abcdef0u, dropThreshold(0.3), 1.25f};
  for (uint32_t n = 1; n <= 100; n++) {
    const std::vector<float> ones(n, 1.0f);
    std::vector<float> y(n + 1, -1.0f);
    kernels.dropout(mask, 70 + n, 4 * n, ones.data(), y.data(), n);
    for (uint32_t i = 0; i < n; i++)
      check(y[i] == (key.word(70 + n, 4 * n + i) >= mask.threshold ? 1.25f : 0.0f),
            "the mask of feature " + std::to_string(4 * n + i) + " is not that of runtime/philox.h");
    check(y[n] == -1, "a mask of " + std::to_string(n) + " features writes beyond them");
  }
}

// One element alone is the same bits as within a long row, at every offset.
void places(const RowKernels& kernels) {
  std::vector<float> x(67), whole(67);
  for (size_t i = 0; i < x.size(); i++) x[i] = static_cast<float>(i) * 0.1f - 3.3f;
  for (const ActivationTruth& c : kActivations) {
    kernels.activation(c.activation, x.data(), whole.data(), 67);
    for (size_t i = 0; i < x.size(); i++) {
      float alone;
      kernels.activation(c.activation, &x[i], &alone, 1);
      check(std::memcmp(&alone, &whole[i], sizeof alone) == 0,
            std::string(c.name) + " of element " + std::to_string(i) + " depends on its place");
    }
  }
}

}  // namespace

void addRowKernelTests(Suite& suite) {
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512}) {
    const auto add = [&](const char* name, void (*body)(const RowKernels&)) {
      suite.add("rowKernels/" + std::string(nameOf(isa)) + "/" + name, [isa, body] {
        if (!canRun(isa)) skip("this CPU has no " + std::string(nameOf(isa)));
        body(cpu::rowKernels(isa));
      });
    };
    add("activations", activations);
    add("notFinite", notFinite);
    add("exponential", exponential);
    add("masks", masks);
    add("places", places);
  }
}

}  // namespace fl::test
