// The process-wide pool behind every CPU op. One parallel region runs at a time; the calling thread
// takes part. Threads only choose who computes a chunk: what a chunk computes never depends on the
// thread count (determinism). Which CPU a worker runs on: placement.h.
#pragma once

#include <cstdint>
#include <functional>

namespace fl {

class ThreadPool {
 public:
  /// FUSED_LORA_THREADS, else the number of hardware threads. Starts its threads at first use.
  static ThreadPool& instance();

  int threads() const;
  /// 1..256; takes effect at the next region. For tests and benchmarks.
  void setThreads(int threads);

  /// Calls body(chunk, thread) once for every chunk in [0, chunks), each by one thread, in
  /// increasing order per thread; returns when all are done. `thread` is in [0, threads()): an
  /// index for per-thread scratch memory. A body must not throw and must not call parallelFor
  /// again.
  void parallelFor(int64_t chunks, const std::function<void(int64_t chunk, int thread)>& body);

  /// Scratch memory of one thread, 64-byte aligned, kept and grown between calls; contents are not
  /// kept.
  void* scratch(int thread, int64_t bytes);

  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;

 private:
  ThreadPool();
  struct State;
  State* state_;
};

}  // namespace fl
