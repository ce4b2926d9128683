// Workers that spin briefly and then sleep, a region's chunks handed out by an atomic counter,
// scratch memory by thread. The promises are in thread_pool.h; CPUs that workers keep off are
// placement.cc's.
#include "runtime/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "platform/threads.h"
#include "runtime/error.h"
#include "runtime/placement.h"

namespace fl {
namespace {

constexpr int kMaxThreads = 256;
// Regions of one step follow each other within a few microseconds; a futex wake-up costs more than
// that.
constexpr auto kSpin = std::chrono::microseconds(30);
// With more of them there are CPUs enough that the system finds an idle one, and the calls would
// take longer than that.
constexpr size_t kMostPlaced = 8;

inline void pauseCpu() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

int configuredThreads() {
  const char* text = std::getenv("FUSED_LORA_THREADS");
  if (text == nullptr || *text == 0) {
    return std::min(platform::usableCpus(), kMaxThreads);
  }
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (*end != 0 || value < 1 || value > kMaxThreads)
    fail("INVALID_ARGUMENT", "FUSED_LORA_THREADS is '" + std::string(text) + "', expected a number from 1 to 256");
  return static_cast<int>(value);
}

struct Scratch {
  void* memory = nullptr;
  int64_t bytes = 0;
};

}  // namespace

// The region word: generation (high 32 bits), open (bit 31), number of workers inside (low 31
// bits). A worker enters by adding one to an open word; the caller closes the word and waits for
// those inside, so that a worker that slept through a short region costs nothing.
struct ThreadPool::State {
  static constexpr uint64_t kOpen = uint64_t{1} << 31;
  static constexpr uint64_t kInside = kOpen - 1;

  alignas(64) std::atomic<uint64_t> region{0};
  std::atomic<uint32_t> signal{0};
  std::atomic<bool> stop{false};
  alignas(64) std::atomic<int64_t> next{0};
  // Written while the region is closed and nobody is inside.
  alignas(64) const Body* body = nullptr;
  int64_t chunks = 0;
  int regionThreads = 1;

  std::mutex oneRegion;
  /// The first exception of the region: a lack of memory for scratch, as a rule.
  std::mutex errorMutex;
  std::exception_ptr error;
  std::atomic<int> threads{1};
  std::vector<platform::Thread> workers;
  /// Of workers[i] at i.
  Placement placements[kMaxThreads];
  Scratch scratch[kMaxThreads];

  void take(int thread) {
    try {
      for (int64_t chunk; (chunk = next.fetch_add(1, std::memory_order_relaxed)) < chunks;) (*body)(chunk, thread);
    } catch (...) {
      const std::lock_guard lock(errorMutex);
      if (!error) error = std::current_exception();
      // The others end at their next chunk; a counter beyond the end takes each of them once.
      next.store(chunks, std::memory_order_relaxed);
    }
  }

  // Waits until the word is open with another generation than `seen`, enters, and returns true;
  // false at the end.
  bool enter(uint64_t& seen, Placement& placement) {
    auto spinUntil = std::chrono::steady_clock::now() + kSpin;
    for (int round = 0;; round++) {
      if (round % 8 == 0) placement.seen();
      const uint32_t before = signal.load(std::memory_order_acquire);
      if (stop.load(std::memory_order_relaxed)) return false;
      uint64_t word = region.load(std::memory_order_acquire);
      if ((word & kOpen) != 0 && word >> 32 != seen) {
        if (region.compare_exchange_weak(word, word + 1, std::memory_order_acquire)) {
          seen = word >> 32;
          return true;
        }
        continue;
      }
      pauseCpu();
      if (round % 32 == 31 && std::chrono::steady_clock::now() > spinUntil) {
        placement.asleep();
        signal.wait(before, std::memory_order_acquire);
        spinUntil = std::chrono::steady_clock::now() + kSpin;
      }
    }
  }

  void work(int thread) {
    uint64_t seen = 0;
    while (enter(seen, placements[thread - 1])) {
      placements[thread - 1].free();
      if (thread < regionThreads) take(thread);
      region.fetch_sub(1, std::memory_order_release);
    }
  }

  /// Before a region opens: a worker that is in it is free already.
  void place() {
    if (workers.size() > kMostPlaced) return;
    const int cpu = platform::currentCpu();
    for (size_t i = 0; i < workers.size(); i++) placements[i].keepFrom(cpu, workers[i]);
  }

  void startWorkers(int wanted) {
    while (static_cast<int>(workers.size()) + 1 < wanted) {
      const int thread = static_cast<int>(workers.size()) + 1;
      try {
        workers.emplace_back([this, thread] { work(thread); });
      } catch (const std::system_error&) {
        return;  // The system allows no more threads: those that are there do the work.
      }
    }
  }
};

ThreadPool::ThreadPool() : state_(nullptr) {
  auto state = std::make_unique<State>();
  state->threads = configuredThreads();
  state_ = state.release();
}

ThreadPool::~ThreadPool() {
  state_->stop = true;
  state_->signal.fetch_add(1, std::memory_order_release);
  state_->signal.notify_all();
  for (platform::Thread& t : state_->workers) t.join();
  for (Scratch& s : state_->scratch) ::operator delete (s.memory, std::align_val_t{64});
  delete state_;
}

ThreadPool& ThreadPool::instance() {
  // Never destroyed: at process exit the workers may still be inside a region.
  static ThreadPool* const pool = new ThreadPool();
  return *pool;
}

int ThreadPool::threads() const { return state_->threads.load(std::memory_order_relaxed); }

void ThreadPool::setThreads(int threads) {
  if (threads < 1 || threads > kMaxThreads)
    fail("INVALID_ARGUMENT", "the number of threads is " + std::to_string(threads) + ", expected 1 to 256");
  state_->threads.store(threads, std::memory_order_relaxed);
}

void ThreadPool::parallelFor(int64_t chunks, const Body& body) {
  if (chunks <= 0) return;
  State& s = *state_;
  std::lock_guard<std::mutex> lock(s.oneRegion);
  const int threads = s.threads.load(std::memory_order_relaxed);
  if (threads == 1 || chunks == 1) {
    for (int64_t chunk = 0; chunk < chunks; chunk++) body(chunk, 0);
    return;
  }
  s.startWorkers(threads);
  s.body = &body;
  s.chunks = chunks;
  s.regionThreads = threads;
  s.next.store(0, std::memory_order_relaxed);
  s.place();
  const uint64_t generation = (s.region.load(std::memory_order_relaxed) >> 32) + 1;
  s.region.store((generation & 0xFFFFFFFF) << 32 | State::kOpen, std::memory_order_release);
  s.signal.fetch_add(1, std::memory_order_release);
  s.signal.notify_all();
  s.take(0);
  s.region.fetch_and(~State::kOpen, std::memory_order_relaxed);
  for (int round = 0; (s.region.load(std::memory_order_acquire) & State::kInside) != 0; round++) {
    if (round < 4096)
      pauseCpu();
    else
      std::this_thread::yield();
  }
  if (s.error) std::rethrow_exception(std::exchange(s.error, nullptr));
}

void* ThreadPool::scratch(int thread, int64_t bytes) {
  Scratch& s = state_->scratch[thread];
  if (s.bytes < bytes) {
    ::operator delete (s.memory, std::align_val_t{64});
    s = {};
    s.memory = ::operator new (static_cast<size_t>(bytes), std::align_val_t{64});
    s.bytes = bytes;
  }
  return s.memory;
}

}  // namespace fl
