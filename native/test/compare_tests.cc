// Every op of every backend against the float64 reference, over the shape classes of cases.h, and
// bit for bit between thread counts. The bound is that of Case::tolerance: max|y - y*| <= 1e-5
// max(max|y*|, magnitude) or tighter. It is the form of the rule for whole models (max|g - g*| <=
// 1e-4 max(max|g*|, 1e-3 G)) with ten times less room, since one op has one op's rounding.
#include <algorithm>

#include "runtime/thread_pool.h"
#include "test/cases.h"
#include "test/tests.h"

namespace fl::test {
namespace {

bool hasPrecision(OpKind op) {
  switch (op) {
    case OpKind::linear:
    case OpKind::linearBackwardInput:
    case OpKind::linearBackwardWeight:
    case OpKind::loraLinear:
    case OpKind::loraLinearBackward:
    case OpKind::segmentedLoraLinear:
    case OpKind::segmentedLoraLinearBackward:
      return true;
    default:
      return false;
  }
}

bool hasWeight(const Case& c) {
  for (const Operand& o : c.inputs)
    if (o.name == "W" && o.present()) return true;
  return false;
}

/// The longest sum of a case: none is longer than the largest operand's side.
int64_t depthOf(const Case& c) {
  int64_t depth = 0;
  for (const Operand& o : c.inputs)
    if (o.present()) depth = std::max({depth, o.dim[0], o.dim[1]});
  return depth;
}

int64_t elementsOf(const Case& c) {
  int64_t count = 0;
  for (const std::vector<Operand>* operands : {&c.inputs, &c.outputs})
    for (const Operand& o : *operands) count += o.present() ? o.dim[0] * o.dim[1] : 0;
  return count;
}

/// At most eight cases, evenly spaced over those with few elements: every kind of case that an op
/// has, none of the sizes that only speed calls for.
std::vector<Case> fewOf(std::vector<Case> cases) {
  constexpr int64_t kMostElements = 20000;
  constexpr size_t kMostCases = 8;
  std::erase_if(cases, [](const Case& c) { return elementsOf(c) > kMostElements; });
  if (cases.size() <= kMostCases) return cases;
  std::vector<Case> few;
  for (size_t i = 0; i < kMostCases; i++) few.push_back(cases[(2 * i + 1) * cases.size() / (2 * kMostCases)]);
  return few;
}

/// At most 24 cases, evenly spaced over those that the emulator gets through in a moment.
std::vector<Case> quickOf(std::vector<Case> cases) {
  constexpr int64_t kMostElements = 60000;
  constexpr size_t kMostCases = 24;
  std::erase_if(cases, [](const Case& c) { return elementsOf(c) > kMostElements; });
  if (cases.size() <= kMostCases) return cases;
  std::vector<Case> some;
  for (size_t i = 0; i < kMostCases; i++) some.push_back(cases[(2 * i + 1) * cases.size() / (2 * kMostCases)]);
  return some;
}

/// `weights`: of products, on CUDA; on the CPU they are product_tests.cc's.
void compare(OpKind op, Precision precision, BaseWeights weights, const std::string& backendName, bool small) {
  Backend& backend = backendOrSkip(backendName);
  if (!backend.holds(weights)) skip(backendName + " does not hold weights in " + std::string(nameOf(weights)));
  if (precision == Precision::bf16 && backend.find(op, DType::f32, precision) == nullptr)
    skip(backendName + " does not implement bf16 products");
  if (backend.find(op, DType::f32) == nullptr) {
    check(false, backendName + " does not implement " + std::string(nameOf(op)));
    return;
  }
  std::vector<Case> cases = precision == Precision::bf16 ? bf16CasesOf(op) : casesOf(op);
  if (small) cases = fewOf(std::move(cases));
  if (weights != BaseWeights::fp32) cases = quickOf(std::move(cases));
  check(!cases.empty(), std::string(nameOf(op)) + " has no cases to compare backends on");
  for (Case& c : cases) {
    roundToFloat(c);
    if (weights != BaseWeights::fp32) c.attributes.set("baseWeights", std::string(nameOf(weights)));
    if (precision == Precision::bf16 && backendName == "cuda") c.tolerance += tensorCoreDrift(depthOf(c));
    const Outcome want = truth(c), got = run(c, backend, DType::f32);
    checkClose(c, backendName, got, want, c.tolerance);
    checkIdentical(c, backendName + " run again", run(c, backend, DType::f32), got);
    // A program hands weights over as parameters, which backends pack: the same numbers have to
    // come out.
    if (hasWeight(c)) checkClose(c, backendName + " (packed)", run(c, backend, DType::f32, true), want, c.tolerance);
  }
}

void sameBitsAtEveryThreadCount(OpKind op) {
  Backend& backend = cpuBackend();
  if (backend.find(op, DType::f32) == nullptr) {
    check(false, "cpu does not implement " + std::string(nameOf(op)));
    return;
  }
  ThreadPool& pool = ThreadPool::instance();
  const int before = pool.threads();
  for (Case& c : casesOf(op)) {
    roundToFloat(c);
    pool.setThreads(1);
    const Outcome one = run(c, backend, DType::f32, hasWeight(c));
    for (const int threads : {2, 3}) {
      pool.setThreads(threads);
      checkIdentical(c, "cpu at " + std::to_string(threads) + " threads", run(c, backend, DType::f32, hasWeight(c)),
                     one);
    }
  }
  pool.setThreads(before);
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  for (const std::string& n : names)
    if (n == name) return true;
  return false;
}

}  // namespace

void addCompareTests(Suite& suite) {
  for (const std::string& backend : suite.options().backends)
    for (int i = 0; i < kOpCount; i++) {
      const auto op = static_cast<OpKind>(i);
      const std::string name = "compare/" + backend + "/" + std::string(nameOf(op));
      const bool small = suite.options().small;
      const auto add = [&](const std::string& form, Precision precision, BaseWeights weights) {
        suite.add(name + form, [=] { compare(op, precision, weights, backend, small); });
      };
      add("", Precision::fp32, BaseWeights::fp32);
      if (!hasPrecision(op)) continue;
      add("/bf16", Precision::bf16, BaseWeights::fp32);
      if (backend != "cuda" || op == OpKind::linearBackwardWeight) continue;
      for (const BaseWeights weights : {BaseWeights::int8, BaseWeights::nf4}) {
        const std::string form = "/" + std::string(nameOf(weights));
        add(form, Precision::fp32, weights);
        add(form + "/bf16", Precision::bf16, weights);
      }
    }
  if (!contains(suite.options().backends, "cpu")) return;
  for (int i = 0; i < kOpCount; i++) {
    const auto op = static_cast<OpKind>(i);
    suite.add("threads/" + std::string(nameOf(op)), [op] { sameBitsAtEveryThreadCount(op); });
  }
}

}  // namespace fl::test
