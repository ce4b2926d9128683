// The GPU of this process: its one stream, what it is, and the scratch memory that its ops share.
// Kernels reach the stream through launch.h, recorded steps through cuda/graph/graph.h.
#pragma once

#include <cuda_runtime.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "cuda/device/errors.h"

namespace fl::cuda {

struct StepBlock;

/// A recording under way on the calling thread (graph.h): launches go to its stream and are not
/// run. Memory can not be had meanwhile, so scratch that is too small is noted for the next try.
struct Capture {
  cudaStream_t stream;
  /// Where recorded kernels find what changes from step to step.
  const StepBlock* step;
  int64_t scratchNeeded = 0;

  /// Null: launches of this thread run.
  static Capture*& current();
};

class Device {
 public:
  /// Opened at the first call, which throws DEVICE_UNAVAILABLE with the reason when it can not be
  /// had.
  static Device& instance();

  /// All kernels and copies, in order; while the calling thread records, the stream that it
  /// records.
  cudaStream_t stream() const {
    const Capture* const capture = Capture::current();
    return capture ? capture->stream : stream_;
  }
  /// The stream that runs: what may be waited for, whatever the calling thread records.
  cudaStream_t ownStream() const { return stream_; }
  /// For people: model, compute capability and memory.
  const std::string& name() const { return name_; }
  /// 90 for compute capability 9.0.
  int computeCapability() const { return computeCapability_; }
  /// Kernels launched or recorded so far; a recorded step that is replayed adds none.
  int64_t launches() const { return launches_.load(std::memory_order_relaxed); }
  void noteLaunch() { launches_.fetch_add(1, std::memory_order_relaxed); }
  void synchronize();
  /// Seconds between two events around `work`; waits for it.
  double time(const std::function<void()>& work);

  /// Memory for what one op hands from kernel to kernel. All ops share one buffer: while this
  /// lives, no other thread can launch kernels that use it, and the stream runs those that did in
  /// order.
  class Scratch {
   public:
    float* data() const { return data_; }

   private:
    friend class Device;
    std::unique_lock<std::mutex> lock_;
    float* data_ = nullptr;
  };
  /// At least `count` floats, of any value. Throws OUT_OF_MEMORY.
  Scratch scratch(int64_t count);

  /// Keeps other threads from launching kernels that use the scratch memory: for a recorded step,
  /// which does.
  std::unique_lock<std::mutex> lockScratch() { return std::unique_lock(scratchMutex_); }
  bool hasScratch(int64_t count) const { return count <= scratchCount_; }
  /// Makes it at least that large; the lock is held. Recordings made before are then void: the
  /// memory has moved.
  void growScratch(int64_t count);
  /// Changes when the scratch memory moves.
  const float* scratchData() const { return scratch_; }

 private:
  Device();
  void open();

  std::string name_;
  int computeCapability_ = 0;
  std::atomic<int64_t> launches_{0};
  cudaStream_t stream_ = nullptr;
  std::mutex timeMutex_;
  cudaEvent_t start_ = nullptr, stop_ = nullptr;
  std::mutex scratchMutex_;
  float* scratch_ = nullptr;
  int64_t scratchCount_ = 0;
};

/// Runs a kernel that shows whether this GPU can run the code of this build; returns the runtime's
/// answer.
cudaError_t runProbe(cudaStream_t stream);

}  // namespace fl::cuda
