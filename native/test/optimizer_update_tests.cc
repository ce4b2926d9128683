// The optimizer step over many tensors at once (ops/optimizer_update.h): each backend's own way
// against the reference's ops, tensor after tensor, in float64.
#include "ops/optimizer_update.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "runtime/parameter.h"
#include "test/cases.h"
#include "test/tests.h"

namespace fl::test {
namespace {

/// The four tensors of each parameter on a backend.
class Tensors {
 public:
  Tensors(Backend& backend, DType dtype, const std::vector<int64_t>& counts) : backend_(backend) {
    Random random(611);
    update.settings.groups = {{0.01, 0.9, 0.999, 1e-8, 0.1}, {0.02, 0.8, 0.99, 1e-6, 0}};
    update.settings.step = 3;
    update.compute = dtype;
    for (size_t i = 0; i < counts.size(); i++) {
      OptimizerUpdate::Item item;
      std::vector<double> v = random.normals(counts[i], 0.1);
      for (double& value : v) value *= value;
      item.gradient = tensor(dtype, random.normals(counts[i]));
      item.p = tensor(dtype, random.normals(counts[i], 0.02));
      item.m = tensor(dtype, random.normals(counts[i], 0.1));
      item.v = tensor(dtype, v);
      item.group = static_cast<int>(i % 2);
      update.items.push_back(item);
    }
  }
  Tensors(const Tensors&) = delete;

  ApplyResult run() { return backend_.update(update); }
  void poison(size_t i, double value) {
    std::vector<double> all(static_cast<size_t>(parameters_[i]->count()));
    parameters_[i]->readDouble(Parameter::Slot::value, all.data());
    all.back() = value;
    parameters_[i]->writeDouble(Parameter::Slot::value, all.data());
  }
  /// All tensors, gradients too, one after the other.
  std::vector<double> values() const {
    std::vector<double> all;
    for (const auto& p : parameters_) {
      std::vector<double> one(static_cast<size_t>(p->count()));
      p->readDouble(Parameter::Slot::value, one.data());
      all.insert(all.end(), one.begin(), one.end());
    }
    return all;
  }

  /// 0 gradient, 1 p, 2 m, 3 v: what element i of values() belongs to.
  size_t kindOf(size_t i) const { return kinds_[i]; }

  OptimizerUpdate update;

 private:
  Tensor tensor(DType dtype, std::vector<double> values) {
    for (double& v : values) v = static_cast<double>(static_cast<float>(v));
    const auto count = static_cast<int64_t>(values.size());
    kinds_.insert(kinds_.end(), values.size(), parameters_.size() % 4);
    parameters_.push_back(
        std::make_unique<Parameter>(backend_.memory(), "tensor", dtype, 1, std::array<int64_t, 2>{count, 1}));
    parameters_.back()->writeDouble(Parameter::Slot::value, values.data());
    return parameters_.back()->tensor(Parameter::Slot::value);
  }

  Backend& backend_;
  std::vector<std::unique_ptr<Parameter>> parameters_;
  std::vector<size_t> kinds_;
};

/// A loss record in the backend's memory.
class LossNotes {
 public:
  explicit LossNotes(Backend& backend)
      : backend_(backend),
        loss_(static_cast<float*>(backend.memory().allocate(sizeof(float)))),
        record_(static_cast<LossRecord*>(backend.memory().allocate(sizeof(LossRecord)))) {}
  ~LossNotes() {
    backend_.memory().release(loss_);
    backend_.memory().release(record_);
  }
  LossNotes(const LossNotes&) = delete;

  void note(double loss, double lossScale, bool first) {
    const auto value = static_cast<float>(loss);
    backend_.memory().upload(loss_, &value, sizeof value);
    StepState step;
    step.lossScale = lossScale;
    backend_.noteLoss(Tensor::of(loss_, DType::f32, {1}), step, first, record_);
  }
  const LossRecord* record() const { return record_; }

 private:
  Backend& backend_;
  float* loss_;
  LossRecord* record_;
};

/// More tensors than one launch of the CUDA backend takes, with sizes around its chunks.
std::vector<int64_t> manyCounts() {
  std::vector<int64_t> counts = {1, 2, 4095, 4096, 4097, 70001};
  for (int64_t i = 0; i < 90; i++) counts.push_back(1 + i * 37 % 500);
  return counts;
}

bool sameBits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](double x, double y) {
           return x == y || (std::isnan(x) && std::isnan(y));
         });
}

void againstReference(const std::string& name) {
  Backend& backend = backendOrSkip(name);
  for (const double maxGradNorm : {0.0, 1.0, 1e6}) {
    Tensors truth(referenceBackend(), DType::f64, manyCounts()), ours(backend, DType::f32, manyCounts()),
        again(backend, DType::f32, manyCounts());
    for (Tensors* t : {&truth, &ours, &again}) t->update.settings.maxGradNorm = maxGradNorm;
    const ApplyResult want = truth.run(), got = ours.run();
    again.run();
    check(got.applied && std::fabs(got.gradientNorm - want.gradientNorm) <= 1e-12 * want.gradientNorm,
          name + ": norm " + text(got.gradientNorm) + ", expected " + text(want.gradientNorm));
    const std::vector<double> expected = truth.values(), found = ours.values();
    // As for adamw alone, errors are measured by the largest entry: of all gradients, all p, all m,
    // all v.
    double scale[4] = {};
    for (size_t i = 0; i < expected.size(); i++)
      scale[truth.kindOf(i)] = std::fmax(scale[truth.kindOf(i)], std::fabs(expected[i]));
    for (size_t i = 0; i < expected.size(); i++)
      if (!(std::fabs(found[i] - expected[i]) <= 1e-6 * scale[truth.kindOf(i)])) {
        check(false,
              name + ": element " + std::to_string(i) + " is " + text(found[i]) + ", expected " + text(expected[i]));
        break;
      }
    check(sameBits(found, again.values()), name + ": the same step gives other bits");
  }
}

void nothingChanges(const std::string& name) {
  Backend& backend = backendOrSkip(name);
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    Tensors tensors(backend, DType::f32, manyCounts());
    const size_t lastGradient = 4 * (tensors.update.items.size() - 1);
    tensors.poison(lastGradient, bad);
    const std::vector<double> before = tensors.values();
    check(!tensors.run().applied && sameBits(tensors.values(), before), name + ": a gradient of " + text(bad));
  }
  // Losses: their sum, and whether all of them were finite.
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  for (const std::vector<double>& losses :
       {std::vector<double>{0.5, 2.0}, {nan, 1.0}, {0.25, inf}, {-inf}, {0.75, nan, 1.0}}) {
    Tensors tensors(backend, DType::f32, manyCounts());
    LossNotes notes(backend);
    notes.note(nan, 1, true);  // of a step before
    double sum = 0;
    bool finite = true;
    for (size_t i = 0; i < losses.size(); i++) {
      notes.note(losses[i], 0.5, i == 0);
      sum += losses[i] * 0.5;
      finite = finite && std::isfinite(losses[i]);
    }
    tensors.update.loss = notes.record();
    const std::vector<double> before = tensors.values();
    const ApplyResult result = tensors.run();
    check(result.applied == finite && result.gradientNorm > 0 && sameBits(tensors.values(), before) == !finite,
          name + ": a step after a loss of " + text(losses.back()));
    check(result.loss == sum || (std::isnan(sum) && std::isnan(result.loss)),
          name + ": the sum of the losses is " + text(result.loss) + ", expected " + text(sum));
  }
}

}  // namespace

void addOptimizerUpdateTests(Suite& suite) {
  for (const std::string& backend : suite.options().backends) {
    suite.add("update/againstReference/" + backend, [backend] { againstReference(backend); });
    suite.add("update/nothingChanges/" + backend, [backend] { nothingChanges(backend); });
  }
}

}  // namespace fl::test
