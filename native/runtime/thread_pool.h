// The process-wide pool behind every CPU op. One parallel region runs at a time; the calling thread
// takes part. Threads only choose who computes a chunk: what a chunk computes never depends on the
// thread count (determinism). Which CPU a worker runs on: placement.h.
#pragma once

#include <cstdint>

namespace fl {

class ThreadPool {
 public:
  /// A callable of the caller's, not copied: a region asks for no memory, so that none fails half
  /// way through an optimizer step.
  class Body {
   public:
    template <class F>
    Body(const F& callable)
        : callable_(&callable), call_([](const void* callee, int64_t chunk, int thread) {
            (*static_cast<const F*>(callee))(chunk, thread);
          }) {}
    void operator()(int64_t chunk, int thread) const { call_(callable_, chunk, thread); }

   private:
    const void* callable_;
    void (*call_)(const void*, int64_t, int);
  };

  /// FUSED_LORA_THREADS, else the number of CPUs that this process may use. Starts its threads at
  /// first use.
  static ThreadPool& instance();

  int threads() const;
  /// 1..256; takes effect at the next region. For tests and benchmarks.
  void setThreads(int threads);

  /// Calls body(chunk, thread) once for every chunk in [0, chunks), each by one thread, in
  /// increasing order per thread; returns when all are done. `thread` is in [0, threads()): an
  /// index for per-thread scratch memory. Where a body throws, chunks that were not begun are left
  /// out, and the first exception comes out of this call. It must not call parallelFor again.
  void parallelFor(int64_t chunks, const Body& body);

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
