// What the thread pool promises beyond runtime_tests.cc: order, regions too short for a sleeping
// worker, scratch memory.
#include "runtime/thread_pool.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "platform/threads.h"
#include "runtime/error.h"
#include "test/tests.h"

namespace fl::test {
namespace {

class ThreadCount {
 public:
  ThreadCount() : before_(ThreadPool::instance().threads()) {}
  ~ThreadCount() { ThreadPool::instance().setThreads(before_); }
  ThreadCount(const ThreadCount&) = delete;

 private:
  int before_;
};

/// One region: each chunk ran once, on a thread in range, in increasing order on that thread.
bool oneRegion(int64_t chunks, int threads) {
  std::vector<std::atomic<int>> runs(static_cast<size_t>(chunks));
  std::vector<int64_t> last(static_cast<size_t>(threads), -1);
  std::atomic<bool> good{true};
  ThreadPool::instance().parallelFor(chunks, [&](int64_t chunk, int thread) {
    if (thread < 0 || thread >= threads || last[static_cast<size_t>(thread)] >= chunk) {
      good = false;
      return;
    }
    last[static_cast<size_t>(thread)] = chunk;
    runs[static_cast<size_t>(chunk)]++;
  });
  for (const std::atomic<int>& count : runs) good = good && count == 1;
  return good;
}

void orderOfChunks() {
  const ThreadCount restore;
  for (const int threads : {1, 2, 3, 8, 2, 1, 5}) {
    ThreadPool::instance().setThreads(threads);
    for (const int64_t chunks : {0, 1, 2, 7, 100, 5000})
      check(oneRegion(chunks, threads),
            std::to_string(chunks) + " chunks on " + std::to_string(threads) + " threads: not each once and in order");
  }
}

/// What a body throws comes out of the region, whichever thread it was on, and the pool goes on.
void bodiesThatThrow() {
  const ThreadCount restore;
  for (const int threads : {1, 2, 5}) {
    ThreadPool::instance().setThreads(threads);
    for (const int64_t bad : {0, 1, 57, 199}) {
      std::string thrown;
      try {
        ThreadPool::instance().parallelFor(200, [&](int64_t chunk, int) {
          if (chunk >= bad) fail("OUT_OF_MEMORY", "chunk");
        });
      } catch (const Error& error) {
        thrown = error.code();
      }
      check(thrown == "OUT_OF_MEMORY", "an exception of chunk " + std::to_string(bad) + " on " +
                                           std::to_string(threads) + " threads became '" + thrown + "'");
      check(oneRegion(200, threads), "the next region");
    }
  }
}

/// Regions back to back, and after the workers have gone to sleep.
void manyShortRegions() {
  const ThreadCount restore;
  ThreadPool::instance().setThreads(3);
  bool good = true;
  for (int i = 0; i < 20'000; i++) good = good && oneRegion(1 + i % 5, 3);
  for (int i = 0; i < 50; i++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    good = good && oneRegion(6, 3);
  }
  check(good, "a short region lost or repeated a chunk");
}

/// Threads at work may run wherever the process may, however often they were kept from a caller's
/// CPU.
void affinityIsRestored() {
  const ThreadCount restore;
  ThreadPool::instance().setThreads(3);
  platform::CpuSet allowed;
  if (!platform::ownCpus(allowed)) skip("the system does not tell on which CPUs a thread may run");
  std::atomic<int> others{0};
  const auto region = [&] {
    ThreadPool::instance().parallelFor(6, [&](int64_t, int) {
      platform::CpuSet own;
      if (!platform::ownCpus(own) || std::memcmp(&own, &allowed, sizeof own) != 0) others++;
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    });
  };
  for (int i = 0; i < 50; i++) {
    if (i % 2 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    region();
  }
  check(others == 0, std::to_string(others) + " chunks ran on a thread that may run on fewer CPUs than the process");
}

void scratchMemory() {
  ThreadPool& pool = ThreadPool::instance();
  void* small = pool.scratch(0, 100);
  check(reinterpret_cast<uintptr_t>(small) % 64 == 0, "scratch memory is not 64-byte aligned");
  check(pool.scratch(0, 50) == small, "scratch memory moved without need");
  check(reinterpret_cast<uintptr_t>(pool.scratch(0, 1 << 20)) % 64 == 0, "grown scratch memory is not 64-byte aligned");
}

void limits() {
  for (const int threads : {0, -1, 257}) {
    try {
      ThreadPool::instance().setThreads(threads);
      check(false, std::to_string(threads) + " threads were accepted");
    } catch (const Error& e) {
      check(e.code() == "INVALID_ARGUMENT", "the error for " + std::to_string(threads) + " threads is " + e.code());
    }
  }
}

}  // namespace

void addThreadPoolTests(Suite& suite) {
  suite.add("threadPool/bodiesThatThrow", bodiesThatThrow);
  suite.add("threadPool/orderOfChunks", orderOfChunks);
  suite.add("threadPool/manyShortRegions", manyShortRegions);
  suite.add("threadPool/affinity", affinityIsRestored);
  suite.add("threadPool/scratch", scratchMemory);
  suite.add("threadPool/limits", limits);
}

}  // namespace fl::test
