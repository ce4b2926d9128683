// Programs: gradients through a whole model, gradient accumulation, the arena, the optimizer, and
// what is refused. The model is small_program.h's; recorded steps are in recorded_step_tests.cc.
#include <cmath>
#include <functional>
#include <limits>

#include "test/cases.h"
#include "test/small_program.h"
#include "test/tests.h"

namespace fl::test {
namespace {

using Slot = Parameter::Slot;
using Options = SmallProgram::Options;
using Gradients = std::map<std::string, std::vector<double>>;

/// How a backend's programs are tried: in every type it computes in. Skips the test where it can
/// not be had.
std::vector<Options> optionsOf(const std::string& backend) {
  const bool attention = backendOrSkip(backend).find(OpKind::attention, DType::f32) != nullptr;
  std::vector<Options> all = {{backend, DType::f32, 0.1, false, attention}};
  if (backend == "reference") all.push_back({backend, DType::f64, 0.1, false});
  return all;
}

double largest(const std::vector<double>& values) {
  double m = 0;
  for (double v : values) m = std::fmax(m, std::fabs(v));
  return m;
}

/// The rule for whole models: max|g - g*| <= bound * max(max|g*|, 1e-3 G), G the largest entry of
/// all gradients.
void checkGradients(const Gradients& got, const Gradients& want, double bound, const std::string& what) {
  double G = 0;
  for (const auto& [name, g] : want) G = std::fmax(G, largest(g));
  for (const auto& [name, g] : want) {
    const double allowed = bound * std::fmax(largest(g), 1e-3 * G);
    for (size_t i = 0; i < g.size(); i++) {
      const double found = got.at(name)[i];
      if (std::fabs(found - g[i]) <= allowed) continue;
      check(false, what + ": gradient of " + name + "[" + std::to_string(i) + "] is " + text(found) + ", expected " +
                       text(g[i]));
      break;
    }
  }
}

void gradientsByDifferences() {
  SmallProgram model({"reference", DType::f64, 0.1, false});
  const auto batch = SmallProgram::batchOf({3, 1, 5}, 1);
  model.accumulate(batch, true, someStep());
  const Gradients gradients = model.gradients();
  Gradients numeric;
  for (const std::string& name : model.trainedNames()) {
    std::vector<double> values = model.read(name, Slot::value);
    for (size_t i = 0; i < values.size(); i++) {
      const double start = values[i];
      const auto at = [&](double offset) {
        values[i] = start + offset;
        model.parameter(name).writeDouble(Slot::value, values.data());
        model.program().forward(model.inputs(batch), batch.sizes, someStep());
        return model.loss() * someStep().lossScale;
      };
      const double h = 1e-3;
      numeric[name].push_back((8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h));
      values[i] = start;
      model.parameter(name).writeDouble(Slot::value, values.data());
    }
  }
  checkGradients(gradients, numeric, 1e-8, "program against differences");
}

void accumulateAdds(const std::string& backend) {
  for (const Options& options : optionsOf(backend)) {
    const double bound = options.compute == DType::f64 ? 1e-12 : 1e-5;
    SmallProgram model(options);
    const auto first = SmallProgram::batchOf({3, 1, 5}, 1), second = SmallProgram::batchOf({7, 2}, 2);
    model.accumulate(first, true, someStep());
    Gradients sum = model.gradients();
    model.accumulate(second, true, someStep());
    const Gradients other = model.gradients();
    for (auto& [name, g] : sum)
      for (size_t i = 0; i < g.size(); i++) g[i] += other.at(name)[i];
    model.accumulate(first, true, someStep());
    model.accumulate(second, false, someStep());
    checkGradients(model.gradients(), sum, bound, options.backend + ", two micro-batches");
  }
}

void backendsAgree(const std::string& backend) {
  const auto batch = SmallProgram::batchOf({13, 1, 40, 22}, 3);
  for (const Options& options : optionsOf(backend)) {
    SmallProgram truthful({"reference", DType::f64, 0.1, false, options.attention});
    truthful.accumulate(batch, true, someStep());
    SmallProgram model(options);
    model.accumulate(batch, true, someStep());
    check(std::fabs(model.loss() - truthful.loss()) <= 1e-5, options.backend + ": loss " + text(model.loss()));
    checkGradients(model.gradients(), truthful.gradients(), 1e-4, options.backend);
  }
}

/// Sharing memory in the arena changes no bit, nor does the size of earlier batches.
void arenaIsInvisible(const std::string& backend) {
  const auto small = SmallProgram::batchOf({3, 1, 5}, 1), large = SmallProgram::batchOf({30, 17, 44, 1, 9}, 2);
  for (Options options : optionsOf(backend)) {
    SmallProgram reusing(options);
    options.keepAll = true;
    SmallProgram keeping(options);
    check(reusing.program().arenaBytes(large.sizes) < keeping.program().arenaBytes(large.sizes),
          "the arena shares no memory");
    for (const auto* batch : {&small, &large, &small}) {
      reusing.accumulate(*batch, true, someStep());
      keeping.accumulate(*batch, true, someStep());
      check(reusing.loss() == keeping.loss() && reusing.gradients() == keeping.gradients(),
            options.backend + ": results depend on the arena");
    }
    SmallProgram fresh(options);
    fresh.accumulate(small, true, someStep());
    check(reusing.gradients() == fresh.gradients(), options.backend + ": results depend on earlier batches");
  }
}

/// Programs that take turns have one block between them, and what one gives stays readable after
/// the other's steps. The block ends with the last of them.
void programsShareTheArena(const std::string& backend) {
  const auto small = SmallProgram::batchOf({3, 1, 5}, 1), large = SmallProgram::batchOf({30, 17, 44, 1, 9}, 2);
  for (const Options& options : optionsOf(backend)) {
    const SharedArena& arena = backendByName(options.backend).sharedArena();
    const int64_t before = arena.capacity();
    {
      SmallProgram first(options), second(options), alone(options);
      first.accumulate(small, true, someStep());
      const double loss = first.loss();
      second.accumulate(large, true, someStep());
      check(first.loss() == loss, options.backend + ": an output changed by another program's step");
      const int64_t needed = second.program().arenaBytes(large.sizes);
      check(arena.capacity() <= std::max(before, needed + needed / 8), options.backend + ": more than one block");
      first.accumulate(small, true, someStep());
      alone.accumulate(small, true, someStep());
      check(first.loss() == loss && first.gradients() == alone.gradients(),
            options.backend + ": results depend on another program");
    }
    check(arena.capacity() == before, options.backend + ": the block is still there");
  }
}

/// A frozen weight that was packed may be released; the results stay the same to the bit.
void releasedWeights() {
  const auto batch = SmallProgram::batchOf({3, 1, 5}, 1);
  SmallProgram model({"cpu", DType::f32, 0.1, false});
  model.accumulate(batch, true);
  const double loss = model.loss();
  const Gradients gradients = model.gradients();
  check(!model.packed().empty(), "no frozen weight of the CPU program can be released");
  for (const int p : model.packed()) model.spec().parameters[static_cast<size_t>(p)]->release(Slot::value);
  check(!model.parameter("W").has(Slot::value), "W is not released");
  model.accumulate(batch, true);
  check(model.loss() == loss && model.gradients() == gradients, "results changed after the release");
}

OptimizerStep optimizer(const SmallProgram& model, double step, double maxGradNorm) {
  OptimizerStep o;
  o.settings.groups = {{0.01, 0.9, 0.999, 1e-8, 0.1}, {0.02, 0.8, 0.99, 1e-6, 0}};
  for (size_t i = 0; i < model.trainedNames().size(); i++) o.groupOf.push_back(static_cast<int>(i % 2));
  o.settings.step = step;
  o.settings.maxGradNorm = maxGradNorm;
  return o;
}

/// Two clipped steps against the formulas, on every backend.
void applyIsAdamW(const std::string& backend) {
  for (const Options& options : optionsOf(backend)) {
    const double bound = options.compute == DType::f64 ? 1e-12 : 1e-5;
    SmallProgram model(options);
    for (const double step : {1.0, 2.0}) {
      model.accumulate(SmallProgram::batchOf({3, 1, 5}, static_cast<uint64_t>(step)), true, someStep());
      const Gradients gradients = model.gradients();
      double squared = 0;
      for (const auto& [name, g] : gradients)
        for (double v : g) squared += v * v;
      const double norm = std::sqrt(squared), maxNorm = norm / 2, clip = std::fmin(1, maxNorm / (norm + 1e-6));
      const OptimizerStep o = optimizer(model, step, maxNorm);
      std::map<std::string, std::vector<double>> expected;
      const std::vector<std::string> names = model.trainedNames();
      for (size_t i = 0; i < names.size(); i++) {
        const OptimizerGroup& group = o.settings.groups[static_cast<size_t>(o.groupOf[i])];
        std::vector<double> p = model.read(names[i], Slot::value), m = model.read(names[i], Slot::firstMoment),
                            v = model.read(names[i], Slot::secondMoment);
        for (size_t j = 0; j < p.size(); j++) {
          const double g = clip * gradients.at(names[i])[j];
          m[j] = group.beta1 * m[j] + (1 - group.beta1) * g;
          v[j] = group.beta2 * v[j] + (1 - group.beta2) * g * g;
          const double mHat = m[j] / (1 - std::pow(group.beta1, step)), vHat = v[j] / (1 - std::pow(group.beta2, step));
          p[j] += -group.learningRate * group.weightDecay * p[j] -
                  group.learningRate * mHat / (std::sqrt(vHat) + group.eps);
        }
        expected[names[i]] = p;
      }
      const ApplyResult result = model.program().apply(o);
      check(result.applied && std::fabs(result.gradientNorm - norm) <= 1e-9 * norm,
            options.backend + ": gradient norm " + text(result.gradientNorm) + ", expected " + text(norm));
      for (const auto& [name, want] : expected) {
        const std::vector<double> got = model.read(name, Slot::value);
        for (size_t j = 0; j < want.size(); j++)
          check(std::fabs(got[j] - want[j]) <= bound,
                options.backend + ": " + name + " is " + text(got[j]) + " after the step, expected " + text(want[j]));
      }
    }
  }
}

/// A loss or gradient that is not finite: apply says so and leaves every byte as it was.
void notFiniteChangesNothing(const std::string& backend) {
  const auto batch = SmallProgram::batchOf({3, 1, 5}, 1);
  for (const Options& options : optionsOf(backend))
    for (const char* poisoned : {"bc", "A", "gamma", "dB"})
      for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
        SmallProgram model(options);
        model.accumulate(batch, true);
        check(model.program().apply(optimizer(model, 1, 1)).applied, "a finite step is applied");
        const bool gradient = std::string(poisoned) == "dB";
        const std::string name = gradient ? "B" : poisoned;
        if (gradient) model.accumulate(batch, true);
        const Slot slot = gradient ? Slot::gradient : Slot::value;
        std::vector<double> values = model.read(name, slot);
        values[values.size() / 2] = bad;
        model.parameter(name).writeDouble(slot, values.data());
        if (!gradient) model.accumulate(batch, true);
        std::vector<std::vector<double>> before, after;
        const auto state = [&](std::vector<std::vector<double>>& to) {
          for (const std::string& trained : model.trainedNames())
            for (const Slot s : {Slot::value, Slot::firstMoment, Slot::secondMoment})
              to.push_back(model.read(trained, s));
        };
        state(before);
        const std::string title = options.backend + ", " + text(bad) + " in " + poisoned;
        check(!model.program().apply(optimizer(model, 2, 1)).applied, title + ": the step was applied");
        state(after);
        bool same = true;
        for (size_t i = 0; i < before.size(); i++)
          for (size_t j = 0; j < before[i].size(); j++)
            same = same && (before[i][j] == after[i][j] || (std::isnan(before[i][j]) && std::isnan(after[i][j])));
        check(same, title + ": something was changed");
      }
}

void expectError(const std::string& what, const char* code, const char* named, const std::function<void()>& body) {
  try {
    body();
    check(false, what + " was accepted");
  } catch (const Error& e) {
    check(e.code() == code && std::string(e.what()).find(named) != std::string::npos,
          what + " gives " + e.code() + ": " + e.what());
  }
}

void refusesBadBatches() {
  SmallProgram model({"cpu", DType::f32, 0, false});
  const auto good = SmallProgram::batchOf({3, 1, 5}, 1);
  using Batch = SmallProgram::Batch;
  const auto refuse = [&](const char* what, const char* code, const char* named,
                          const std::function<void(Batch&)>& change) {
    Batch bad = good;
    change(bad);
    expectError(what, code, named, [&] { model.accumulate(bad, true); });
  };
  refuse("an id below 0", "INVALID_ARGUMENT", "ids", [](Batch& b) { b.ids[4] = -1; });
  refuse("an id over the vocabulary", "INVALID_ARGUMENT", "ids",
         [](Batch& b) { b.ids[4] = SmallProgram::kVocabulary; });
  refuse("a row outside of the batch", "INVALID_ARGUMENT", "rows", [](Batch& b) { b.rows[0] = 9; });
  refuse("an unknown label", "INVALID_ARGUMENT", "labels", [](Batch& b) { b.labels[0] = SmallProgram::kClasses; });
  refuse("offsets that fall", "INVALID_ARGUMENT", "cuSeqlens", [](Batch& b) { b.cuSeqlens[1] = 6; });
  refuse("offsets past the end", "INVALID_ARGUMENT", "cuSeqlens", [](Batch& b) { b.cuSeqlens[3] = 10; });
  refuse("an empty sequence", "INVALID_ARGUMENT", "cuSeqlens", [](Batch& b) { b.cuSeqlens[1] = 0; });
  refuse("too few ids", "INVALID_SHAPE", "ids", [](Batch& b) { b.ids.pop_back(); });
  refuse("no tokens", "INVALID_ARGUMENT", "0 tokens", [](Batch& b) { b.sizes.T = 0; });
  expectError("a batch without labels", "INVALID_ARGUMENT", "labels", [&] {
    std::vector<BatchInput> inputs = model.inputs(good);
    inputs.pop_back();
    model.program().accumulate(inputs, good.sizes, {}, true);
  });
  model.accumulate(good, true);
  check(std::isfinite(model.loss()), "a good batch runs after bad ones");
}

/// Memory that can not be had: an error before the first step that says how much, and the program
/// goes on after it.
void reservesMemory(const std::string& backend) {
  SmallProgram model(optionsOf(backend)[0]);
  const auto small = SmallProgram::batchOf({3, 1, 5}, 1), large = SmallProgram::batchOf({30, 17, 44}, 2);
  model.program().reserve(large.sizes);
  model.accumulate(small, true);
  // On the host such an amount may be granted and kill the process once it is written to.
  if (backend == "cuda")
    for (const char* named : {"are needed", "are free"})
      expectError("a batch of 2^30 tokens", "OUT_OF_MEMORY", named, [&] {
        model.program().reserve({int64_t{1} << 30, 2, 2});
      });
  model.accumulate(large, true);
  check(std::isfinite(model.loss()), backend + ": a step after the reservation");
}

void refusesBadSpecs() {
  const SmallProgram model({"cpu", DType::f32, 0, false});
  const auto refuse = [&](const char* what, const char* code, const char* named,
                          const std::function<void(ProgramSpec&)>& change) {
    ProgramSpec spec = model.spec();
    change(spec);
    expectError(what, code, named, [&] { Program program(spec); });
  };
  refuse("an unknown backend", "INVALID_ARGUMENT", "tpu", [](ProgramSpec& s) { s.backend = "tpu"; });
  refuse("an unknown value", "INVALID_ARGUMENT", "999", [](ProgramSpec& s) { s.instructions[0].inputs[0] = 999; });
  refuse("a value read before it is written", "INVALID_ARGUMENT", "before",
         [](ProgramSpec& s) { std::swap(s.instructions[0], s.instructions[1]); });
  refuse("a parameter that is written", "INVALID_ARGUMENT", "table",
         [&](ProgramSpec& s) { s.instructions[0].outputs[0] = model.value("table"); });
  refuse("a wrong shape", "INVALID_SHAPE", "small",
         [&](ProgramSpec& s) { s.values[static_cast<size_t>(model.value("q"))].shape[1].number++; });
  refuse("a parameter of another shape", "INVALID_SHAPE", "A",
         [&](ProgramSpec& s) { s.values[static_cast<size_t>(model.value("A"))].shape[0].number++; });
  refuse("too many forward instructions", "INVALID_ARGUMENT", "forwardCount",
         [](ProgramSpec& s) { s.forwardCount = 99; });
  refuse("f64 on the CPU", "UNSUPPORTED", "f64", [](ProgramSpec& s) {
    s.compute = DType::f64;
    s.parameters.clear();
    s.values.resize(0);
    s.forwardCount = 0;
    s.instructions.resize(1);
    s.instructions[0] = {OpKind::mse, {}, {}, {}, ""};
  });
}

void abortStopsBetweenOps() {
  SmallProgram model({"cpu", DType::f32, 0, false});
  const auto batch = SmallProgram::batchOf({3, 1, 5}, 1);
  model.program().abort();
  expectError("an aborted step", "ABORTED", "stopped", [&] { model.accumulate(batch, true); });
  expectError("the loss of an aborted step", "INVALID_ARGUMENT", "not run", [&] { model.loss(); });
  model.program().clearAbort();
  model.accumulate(batch, true);
  check(std::isfinite(model.loss()), "a step after clearAbort");
}

}  // namespace

void addProgramTests(Suite& suite) {
  suite.add("program/gradientsByDifferences", gradientsByDifferences);
  for (const std::string& backend : suite.options().backends) {
    suite.add("program/accumulateAdds/" + backend, [backend] { accumulateAdds(backend); });
    suite.add("program/backendsAgree/" + backend, [backend] { backendsAgree(backend); });
    suite.add("program/arenaIsInvisible/" + backend, [backend] { arenaIsInvisible(backend); });
    suite.add("program/programsShareTheArena/" + backend, [backend] { programsShareTheArena(backend); });
    suite.add("program/applyIsAdamW/" + backend, [backend] { applyIsAdamW(backend); });
    suite.add("program/reservesMemory/" + backend, [backend] { reservesMemory(backend); });
    suite.add("program/notFiniteChangesNothing/" + backend, [backend] { notFiniteChangesNothing(backend); });
  }
  suite.add("program/releasedWeights", releasedWeights);
  suite.add("program/refusesBadBatches", refusesBadBatches);
  suite.add("program/refusesBadSpecs", refusesBadSpecs);
  suite.add("program/abort", abortStopsBetweenOps);
}

}  // namespace fl::test
