// Linux's calls for which CPU a thread may run on; elsewhere nothing.
// Why workers are kept from the caller's CPU: placement.h.
#include "runtime/placement.h"

#if defined(__linux__)
#include <pthread.h>
#endif

namespace fl {

#if defined(__linux__)

int currentCpu() { return sched_getcpu(); }

void Placement::restore() {
  State state;
  while ((state = state_.load(std::memory_order_acquire)) == State::changing) std::this_thread::yield();
  if (state == State::kept) sched_setaffinity(0, sizeof before_, &before_);
  state_.store(State::free, std::memory_order_release);
}

void Placement::keepFrom(int cpu, std::thread& worker) {
  const int seen = cpu_.load(std::memory_order_relaxed);
  if (cpu < 0 || cpu >= CPU_SETSIZE || (seen != kAsleep && seen != cpu)) return;
  State state = state_.load(std::memory_order_relaxed);
  // The caller alone changes it to anything but free.
  if (!state_.compare_exchange_strong(state, State::changing, std::memory_order_acq_rel)) return;
  const auto thread = worker.native_handle();
  if (state == State::kept || pthread_getaffinity_np(thread, sizeof before_, &before_) == 0) {
    cpu_set_t others = before_;
    CPU_CLR(static_cast<size_t>(cpu), &others);
    if (CPU_COUNT(&others) > 0 && pthread_setaffinity_np(thread, sizeof others, &others) == 0) state = State::kept;
  }
  state_.store(state, std::memory_order_release);
}

#else

int currentCpu() { return -1; }
void Placement::restore() {}
void Placement::keepFrom(int, std::thread&) {}

#endif

}  // namespace fl
