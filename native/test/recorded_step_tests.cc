// Steps that a backend records and replays (Recorder) give the bits of steps whose ops run as they
// are called: over batches of other and of the same sizes, with dropout, accumulation and optimizer
// steps between, for programs that take turns, and where parameters get other values or memory. The
// recorder is cuda/graph/graph.h.
#include <cmath>
#include <cstring>

#include "test/cases.h"
#include "test/small_program.h"
#include "test/tests.h"

namespace fl::test {
namespace {

using Slot = Parameter::Slot;
using Batch = SmallProgram::Batch;

struct Pair {
  SmallProgram recorded, plain;

  explicit Pair(SmallProgram::Options options)
      : recorded(options), plain([&] {
          options.record = false;
          return options;
        }()) {}

  void accumulate(const Batch& batch, bool zero, const StepState& step) {
    recorded.accumulate(batch, zero, step);
    plain.accumulate(batch, zero, step);
  }

  void apply(double step) {
    OptimizerStep o;
    o.settings.groups = {{0.01, 0.9, 0.999, 1e-8, 0.1}};
    o.groupOf.assign(recorded.trainedNames().size(), 0);
    o.settings.step = step;
    o.settings.maxGradNorm = 1;
    const ApplyResult a = recorded.program().apply(o), b = plain.program().apply(o);
    check(a.applied && b.applied, "a step was not applied");
    check(a.gradientNorm == b.gradientNorm && a.loss == b.loss, "norm and loss are " + text(a.gradientNorm) + " and " +
                                                                    text(a.loss) + " where " + text(b.gradientNorm) +
                                                                    " and " + text(b.loss) + " were expected");
  }

  void same(const std::string& when) {
    check(recorded.loss() == plain.loss(), when + ": other losses");
    for (const std::string& name : recorded.trainedNames())
      for (const Slot slot : {Slot::gradient, Slot::value, Slot::firstMoment, Slot::secondMoment}) {
        const std::vector<double> a = recorded.read(name, slot), b = plain.read(name, slot);
        check(std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0, when + ": other bits in " + name);
      }
  }
};

SmallProgram::Options optionsFor(const std::string& backend, double dropout) {
  SmallProgram::Options options{backend, DType::f32, dropout};
  options.attention = backendOrSkip(backend).find(OpKind::attention, DType::f32) != nullptr;
  return options;
}

std::vector<Batch> someBatches() {
  // The second has the first one's sizes, the third its bucket, the fourth another one.
  return {SmallProgram::batchOf({3, 1, 5}, 1), SmallProgram::batchOf({4, 2, 3}, 2), SmallProgram::batchOf({9, 9}, 3),
          SmallProgram::batchOf({100, 40, 120}, 4), SmallProgram::batchOf({1}, 5)};
}

/// Twenty steps; only on a backend that records are there counts to look at.
void sameBits(const std::string& backend) {
  for (const double dropout : {0.0, 0.3}) {
    Pair pair(optionsFor(backend, dropout));
    const std::vector<Batch> batches = someBatches();
    StepState step = someStep();
    for (int i = 0; i < 20; i++) {
      const std::string when = backend + ", dropout " + text(dropout) + ", step " + std::to_string(i);
      for (int micro = 0; micro < 1 + i % 2; micro++) {
        step.forwardNumber++;
        step.lossScale = i % 3 == 0 ? 1 : 0.25;
        pair.accumulate(batches[static_cast<size_t>(i + micro) % batches.size()], micro == 0, step);
      }
      pair.same(when);
      pair.apply(i + 1);
      pair.same(when + ", applied");
    }
    const Recorder::Counts counts = pair.recorded.program().recorded();
    if (counts.made == 0) continue;
    check(counts.replayed + counts.updated + counts.made == 30, "30 steps were recorded or replayed");
    check(counts.replayed > 0 && counts.updated > 0, backend + ": " + std::to_string(counts.replayed) +
                                                         " steps replayed, " + std::to_string(counts.updated) +
                                                         " updated, " + std::to_string(counts.made) + " made");
  }
}

/// Equal sizes: one recording serves all steps, whatever their masks and loss scales.
void equalSizesAreReplayed(const std::string& backend) {
  SmallProgram model(optionsFor(backend, 0.3));
  StepState step = someStep();
  model.program().reserve(SmallProgram::batchOf({9, 9}, 1).sizes);
  for (uint64_t i = 0; i < 10; i++) {
    step.forwardNumber++;
    model.accumulate(SmallProgram::batchOf({3, 1, 5}, i), true, step);
  }
  const Recorder::Counts counts = model.program().recorded();
  if (counts.made == 0) skip("backend '" + backend + "' records nothing");
  check(counts.made == 1 && counts.replayed == 9 && counts.updated == 0, "ten steps, one recording");
}

/// More sizes in turns than a bucket keeps: some of them are replayed all the same.
void sizesInTurns(const std::string& backend) {
  Pair pair(optionsFor(backend, 0));
  for (int i = 0; i < 40; i++) {
    pair.accumulate(SmallProgram::batchOf({3, 1 + i % 8}, 1), true, someStep());
    pair.same(backend + ", step " + std::to_string(i));
  }
  const Recorder::Counts counts = pair.recorded.program().recorded();
  if (counts.made == 0) skip("backend '" + backend + "' records nothing");
  check(counts.replayed >= 8, std::to_string(counts.replayed) + " of 40 steps were replayed");
}

/// Two programs on one device take turns; one of them goes away in the middle.
void programsTakeTurns(const std::string& backend) {
  Pair first(optionsFor(backend, 0.1));
  const std::vector<Batch> batches = someBatches();
  {
    Pair second(optionsFor(backend, 0));
    for (size_t i = 0; i < 10; i++) {
      first.accumulate(batches[i % batches.size()], true, someStep());
      second.accumulate(batches[(i + 2) % batches.size()], true, someStep());
      first.same(backend + ", first program");
      second.same(backend + ", second program");
    }
  }
  for (const Batch& batch : batches) {
    first.accumulate(batch, true, someStep());
    first.same(backend + ", the other program is gone");
  }
}

/// A recording does not outlive the values and memory it was made of.
void followsParameters(const std::string& backend) {
  Pair pair(optionsFor(backend, 0));
  const Batch batch = SmallProgram::batchOf({3, 1, 5}, 1);
  for (int round = 0; round < 3; round++) {
    pair.accumulate(batch, true, someStep());
    pair.same(backend + ", round " + std::to_string(round));
    for (SmallProgram* model : {&pair.recorded, &pair.plain})
      for (const char* name : {"W", "gamma"}) {
        std::vector<double> values = model->read(name, Slot::value);
        for (double& v : values) v *= 1.5;
        model->parameter(name).writeDouble(Slot::value, values.data());
      }
    // A larger batch moves the arena.
    pair.accumulate(SmallProgram::batchOf({40 + 60 * round, 7}, 2), true, someStep());
    pair.same(backend + ", larger batch " + std::to_string(round));
  }
}

/// Forward passes and steps of one program do not take each other's recordings.
void forwardBetweenSteps(const std::string& backend) {
  Pair pair(optionsFor(backend, 0.1));
  const Batch batch = SmallProgram::batchOf({3, 1, 5}, 1);
  for (int round = 0; round < 3; round++) {
    for (SmallProgram* model : {&pair.recorded, &pair.plain})
      model->program().forward(model->inputs(batch), batch.sizes, someStep());
    check(pair.recorded.loss() == pair.plain.loss(), backend + ": other losses");
    pair.accumulate(batch, round % 2 == 0, someStep());
    pair.same(backend + ", round " + std::to_string(round));
  }
}

/// A run that is stopped while it is recorded leaves a program that works.
void abortedWhileRecorded(const std::string& backend) {
  Pair pair(optionsFor(backend, 0));
  const Batch batch = SmallProgram::batchOf({3, 1, 5}, 1);
  pair.recorded.program().abort();
  try {
    pair.recorded.accumulate(batch, true, someStep());
    check(false, "an aborted step ran");
  } catch (const Error& e) {
    check(e.code() == "ABORTED", e.code());
  }
  pair.recorded.program().clearAbort();
  pair.accumulate(batch, true, someStep());
  pair.same(backend + ", after an abort");
}

}  // namespace

void addRecordedStepTests(Suite& suite) {
  for (const std::string& backend : suite.options().backends) {
    suite.add("recordedStep/sameBits/" + backend, [backend] { sameBits(backend); });
    suite.add("recordedStep/equalSizesAreReplayed/" + backend, [backend] { equalSizesAreReplayed(backend); });
    suite.add("recordedStep/sizesInTurns/" + backend, [backend] { sizesInTurns(backend); });
    suite.add("recordedStep/programsTakeTurns/" + backend, [backend] { programsTakeTurns(backend); });
    suite.add("recordedStep/followsParameters/" + backend, [backend] { followsParameters(backend); });
    suite.add("recordedStep/forwardBetweenSteps/" + backend, [backend] { forwardBetweenSteps(backend); });
    suite.add("recordedStep/abortedWhileRecorded/" + backend, [backend] { abortedWhileRecorded(backend); });
  }
}

}  // namespace fl::test
