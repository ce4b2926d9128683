// Takes a CPU away from a worker's set and gives it back, in step with the worker itself.
// Why workers are kept from the caller's CPU: placement.h; the system's calls: platform/threads.h.
#include "runtime/placement.h"

#include <thread>

namespace fl {

void Placement::restore() {
  State state;
  while ((state = state_.load(std::memory_order_acquire)) == State::changing) std::this_thread::yield();
  if (state == State::kept) platform::setOwnCpus(before_);
  state_.store(State::free, std::memory_order_release);
}

void Placement::keepFrom(int cpu, const platform::Thread& worker) {
  const int seen = cpu_.load(std::memory_order_relaxed);
  if (cpu < 0 || cpu >= platform::CpuSet::kMost || (seen != kAsleep && seen != cpu)) return;
  State state = state_.load(std::memory_order_relaxed);
  // The caller alone changes it to anything but free.
  if (!state_.compare_exchange_strong(state, State::changing, std::memory_order_acq_rel)) return;
  if (state == State::kept || worker.cpus(before_)) {
    platform::CpuSet others = before_;
    others.remove(cpu);
    if (others.count() > 0 && worker.setCpus(others)) state = State::kept;
  }
  state_.store(state, std::memory_order_release);
}

}  // namespace fl
