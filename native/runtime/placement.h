// Which CPU a worker of thread_pool.h takes part from. The system likes to wake a thread on the CPU
// of the one that wakes it, or wakes the caller on the CPU of a worker that still looks for work;
// the worker then waits for the caller's time slice to end. On two cores, a region of 3 ms ran on
// one of them every third time. So the caller keeps its own CPU from a worker that sleeps or was
// last seen there; at work, the worker may run anywhere again.
//
// Nothing here changes results, and nothing is done where the system does not say on which CPU a
// thread runs (platform/threads.h), or allows one CPU only.
#pragma once

#include <atomic>

#include "platform/threads.h"

namespace fl {

class Placement {
 public:
  /// By the worker while it looks for work: where it is.
  void seen() { cpu_.store(platform::currentCpu(), std::memory_order_relaxed); }
  /// By the worker, before it sleeps.
  void asleep() { cpu_.store(kAsleep, std::memory_order_relaxed); }
  /// By the worker when it has work: it may run where it could before.
  void free() {
    if (state_.load(std::memory_order_acquire) != State::free) restore();
  }
  /// By the caller, before it calls the worker: not on `cpu`.
  void keepFrom(int cpu, const platform::Thread& worker);

 private:
  static constexpr int kAsleep = -2;
  enum class State : int { free, changing, kept };
  void restore();

  std::atomic<int> cpu_{kAsleep};
  std::atomic<State> state_{State::free};
  /// Where the worker could run; valid while its state is not free.
  platform::CpuSet before_;
};

}  // namespace fl
