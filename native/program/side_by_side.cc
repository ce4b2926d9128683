// The instruction lists of several programs gone through side by side: each program runs up to its
// next product of a frozen weight, and those that stand at the same weight take it together. What
// programs do not have in common only costs that: results are those of each alone. The products
// themselves: cpu/ops/side_by_side.cc.
#include "program/side_by_side.h"

#include <algorithm>
#include <memory>
#include <unordered_set>

#include "program/step_guard.h"
#include "runtime/memory.h"

namespace fl {
namespace {

/// Of blocks in one allocation.
constexpr int64_t kAlignment = 64;

/// The error that `body` throws, if any.
template <class Body>
std::optional<Error> errorOf(Body body) {
  try {
    body();
  } catch (const std::exception&) {
    return currentError();
  }
  return std::nullopt;
}

}  // namespace

class SideBySide {
 public:
  explicit SideBySide(std::span<const SideStep> steps) {
    for (const SideStep& step : steps) runs_.push_back({&step, *step.program, 0, 0, {}, {}, std::nullopt});
  }

  std::vector<std::optional<Error>> operator()() {
    for (Run& run : runs_) inUse_.push_back(std::make_unique<InUse>(run.program.spec_.parameters));
    if (mayMix())
      mixed();
    else
      for (Run& run : runs_) guarded(run, [&] { inTurn(run); });
    std::vector<std::optional<Error>> errors;
    for (Run& run : runs_) errors.push_back(std::move(run.error));
    return errors;
  }

 private:
  struct Run {
    const SideStep* of;
    Program& program;
    /// The next instruction, and the next of the program's meetings.
    int next;
    size_t meeting;
    Program::Layout layout;
    int64_t passingBytes;
    std::optional<Error> error;

    bool isLeft() const { return !error.has_value(); }
    bool isAtMeeting() const { return isLeft() && meeting < program.meetings_.size(); }
    const Program::FrozenProduct& product() const { return program.meetings_[meeting].product; }
    /// Whether it comes to this product later.
    bool comesTo(const Program::FrozenProduct& wanted) const {
      const auto& all = program.meetings_;
      return std::any_of(all.begin() + static_cast<std::ptrdiff_t>(meeting) + 1, all.end(),
                         [&](const Program::Meeting& each) { return each.product == wanted; });
    }
  };

  template <class Body>
  static void guarded(Run& run, Body body) {
    if (run.isLeft()) run.error = errorOf(body);
  }

  static void inTurn(Run& run) {
    const SideStep& of = *run.of;
    run.program.run(of.batch, of.sizes, of.step,
                    of.zeroGradients ? Program::Entry::accumulateFromZero : Program::Entry::accumulate);
  }

  bool mayMix() const {
    if (runs_.size() < 2) return false;
    std::unordered_set<const Parameter*> trained;
    for (const Run& run : runs_) {
      Backend& backend = run.program.backend_;
      if (&backend != &runs_.front().program.backend_ || &backend.memory() != &hostMemory()) return false;
      for (const int p : run.program.trained_)
        if (!trained.insert(run.program.spec_.parameters[static_cast<size_t>(p)].get()).second) return false;
    }
    return true;
  }

  void mixed() {
    for (Run& run : runs_) guarded(run, [&] { check(run); });
    int64_t bytes = 0;
    for (Run& run : runs_) bytes += run.isLeft() ? run.passingBytes : 0;
    Backend& backend = runs_.front().program.backend_;
    const auto owner = std::find_if(runs_.begin(), runs_.end(), [](const Run& run) { return run.isLeft(); });
    if (owner == runs_.end()) return;
    char* block = nullptr;
    const std::optional<Error> tooMuch = errorOf([&] {
      if (bytes > 0) block = static_cast<char*>(backend.sharedArena().take(backend.memory(), &owner->program, bytes));
    });
    for (Run& run : runs_) {
      if (tooMuch && run.isLeft()) run.error = tooMuch;
      guarded(run, [&] { begin(run, block); });
      if (block && run.passingBytes > 0) block += run.passingBytes;
    }
    while (true) {
      for (Run& run : runs_) guarded(run, [&] { toMeeting(run); });
      if (std::none_of(runs_.begin(), runs_.end(), [](const Run& run) { return run.isAtMeeting(); })) break;
      meet();
    }
    for (Run& run : runs_) guarded(run, [&] { end(run); });
  }

  void check(Run& run) {
    run.program.checkBatch(run.of->batch, run.of->sizes);
    run.program.renewPackedCopies();
    run.layout = run.program.layoutOf(run.of->sizes);
    const int64_t bytes = run.layout.passing.totalBytes;
    run.passingBytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }

  void begin(Run& run, void* block) {
    Program& program = run.program;
    program.place(run.of->sizes, run.layout, block);
    program.haveRun_ = false;
    program.upload(run.of->batch);
    if (run.of->zeroGradients) program.zeroGradients();
  }

  void toMeeting(Run& run) {
    Program& program = run.program;
    const auto count = static_cast<int>(program.instructions_.size());
    const int stop = run.isAtMeeting() ? program.meetings_[run.meeting].instruction : count;
    while (run.next < stop) run.next = program.callNext(run.next, run.of->step);
    if (program.aborted_) fail("ABORTED", "the step was stopped");
  }

  /// Takes the next product: one that nobody comes to later, if there is such.
  void meet() {
    const Program::FrozenProduct* chosen = nullptr;
    for (const Run& run : runs_) {
      if (!run.isAtMeeting()) continue;
      const Program::FrozenProduct& product = run.product();
      if (!chosen) chosen = &product;
      if (std::any_of(runs_.begin(), runs_.end(), [&](const Run& other) {
            return other.isAtMeeting() && !(other.product() == product) && other.comesTo(product);
          }))
        continue;
      chosen = &product;
      break;
    }
    std::vector<Run*> group;
    for (Run& run : runs_)
      if (run.isAtMeeting() && run.product() == *chosen) group.push_back(&run);
    const std::optional<Error> error = errorOf([&] { multiply(group); });
    for (Run* run : group) {
      run->error = error;
      run->next++;
      run->meeting++;
    }
  }

  void multiply(const std::vector<Run*>& group) {
    std::vector<OpCall> calls;
    for (Run* run : group) calls.push_back(run->program.prepareCall(run->next, run->of->step));
    double seconds = 0;
    {
      const Stopwatch watch(seconds);
      const bool done = calls.size() > 1 && group.front()->program.backend_.runSideBySide(calls);
      for (size_t i = 0; !done && i < calls.size(); i++)
        group[i]->program.instructions_[static_cast<size_t>(group[i]->next)].function(calls[i]);
    }
    for (Run* run : group)
      run->program.seconds_[static_cast<size_t>(run->next)] += seconds / static_cast<double>(group.size());
  }

  void end(Run& run) {
    run.program.noteLoss(run.of->step, run.of->zeroGradients);
    run.program.haveRun_ = true;
  }

  std::vector<Run> runs_;
  std::vector<std::unique_ptr<InUse>> inUse_;
};

std::vector<std::optional<Error>> accumulateSideBySide(std::span<const SideStep> steps) {
  const std::lock_guard lock(stepMutex());
  return SideBySide(steps)();
}

}  // namespace fl
