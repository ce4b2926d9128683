// What a step holds while it runs: the one lock of all steps, its parameters, a clock. Who runs
// steps: program/run.cc, program/side_by_side.cc.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime/parameter.h"

namespace fl {

/// One step at a time in the process: steps share the thread pool, and two would only slow each
/// other.
inline std::mutex& stepMutex() {
  static std::mutex& mutex = *new std::mutex;
  return mutex;
}

/// Marks parameters as in use for the time of a run.
class InUse {
 public:
  explicit InUse(const std::vector<std::shared_ptr<Parameter>>& parameters) : parameters_(parameters) {
    for (const auto& p : parameters_) p->users++;
  }
  ~InUse() {
    for (const auto& p : parameters_) p->users--;
  }
  InUse(const InUse&) = delete;

 private:
  const std::vector<std::shared_ptr<Parameter>>& parameters_;
};

/// Adds the time until it goes out of scope to `seconds`.
class Stopwatch {
 public:
  explicit Stopwatch(double& seconds) : seconds_(seconds), start_(Clock::now()) {}
  ~Stopwatch() { seconds_ += std::chrono::duration<double>(Clock::now() - start_).count(); }
  Stopwatch(const Stopwatch&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  double& seconds_;
  Clock::time_point start_;
};

}  // namespace fl
