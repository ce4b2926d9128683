// Records steps by stream capture, keeps executable graphs by bucket, updates or replaces them,
// launches them. When a recording holds is in graph.h, what batches share one in buckets.h.
#include "cuda/graph/graph.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <list>
#include <utility>
#include <vector>

#include "cuda/device/device.h"
#include "cuda/device/memory.h"
#include "cuda/graph/buckets.h"
#include "cuda/graph/step_block.h"
#include "runtime/error.h"

namespace fl::cuda {
namespace {

const char* const kWhat = "recording a step as a CUDA graph (FUSED_LORA_CUDA_GRAPHS=off does without)";

class Graph {
 public:
  Graph() = default;
  Graph(Graph&& other) noexcept : graph_(std::exchange(other.graph_, nullptr)) {}
  ~Graph() {
    if (graph_ && cudaGraphDestroy(graph_) != cudaSuccess) cudaGetLastError();
  }
  cudaGraph_t* operator&() { return &graph_; }
  cudaGraph_t get() const { return graph_; }

 private:
  cudaGraph_t graph_ = nullptr;
};

/// An executable graph and what it was recorded of.
struct Recording {
  int entry;
  std::array<int64_t, 3> sizes;
  /// Of the recorder's memory; 0: the graph holds for nothing.
  int64_t generation;
  /// Launches after the first.
  int64_t replays;
  cudaGraphExec_t exec = nullptr;
};

class GraphRecorder final : public Recorder {
 public:
  ~GraphRecorder() override {
    // Launches may be under way.
    if (stream_ && cudaStreamSynchronize(Device::instance().stream()) != cudaSuccess) cudaGetLastError();
    for (Recording& r : recordings_) destroy(r);
    if (stream_ && cudaStreamDestroy(stream_) != cudaSuccess) cudaGetLastError();
    deviceMemory().release(block_);
  }

  void run(const RecordingKey& key, const StepState& step, const std::function<void()>& body) override {
    requireHealthy();
    open();
    const StepBlock block{step.seed, step.lossScale, step.forwardNumber, 0};
    const HostCopy copy{block_, &block, sizeof block};
    uploadTogether({&copy, 1});
    Device& device = Device::instance();
    // The recorded kernels use the scratch memory.
    const auto lock = device.lockScratch();
    noteMemory(key);
    const auto found = find(key);
    if (found != recordings_.end()) {
      counts_.replayed++;
      found->replays++;
      recordings_.splice(recordings_.begin(), recordings_, found);
    } else {
      place(key, record(body));
    }
    check(cudaGraphLaunch(recordings_.front().exec, device.stream()), "launching a step");
  }

  void reserve(const std::function<void()>& body) override {
    requireHealthy();
    open();
    const auto lock = Device::instance().lockScratch();
    record(body);
  }

  Counts counts() const override { return counts_; }

 private:
  using Place = std::list<Recording>::iterator;

  void open() {
    if (stream_ == nullptr) check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), kWhat);
    if (block_ == nullptr) block_ = static_cast<StepBlock*>(deviceMemory().allocate(sizeof(StepBlock)));
  }

  /// Starts another generation where memory has moved since the last step.
  void noteMemory(const RecordingKey& key) {
    const float* const scratch = Device::instance().scratchData();
    if (scratch == scratch_ && key.memory == memory_) return;
    scratch_ = scratch;
    memory_ = key.memory;
    generation_++;
  }

  Place find(const RecordingKey& key) {
    return std::find_if(recordings_.begin(), recordings_.end(), [&](const Recording& r) {
      return r.generation == generation_ && r.entry == key.entry && r.sizes == key.sizes;
    });
  }

  /// The launches of `body`, with scratch memory that is large enough.
  Graph record(const std::function<void()>& body) {
    Device& device = Device::instance();
    for (int tries = 0; tries < 2; tries++) {
      Capture capture{stream_, block_};
      Graph graph = recordOnce(capture, body);
      if (capture.scratchNeeded == 0 || device.hasScratch(capture.scratchNeeded)) return graph;
      // Other sizes need a little more or less.
      device.growScratch(capture.scratchNeeded + capture.scratchNeeded / 8);
    }
    fail("INTERNAL", "a step asks for other scratch memory each time it is recorded");
  }

  Graph recordOnce(Capture& capture, const std::function<void()>& body) {
    Graph graph;
    // Relaxed: the runtime loads a kernel at its first launch, which the other modes may take for a
    // call that they forbid.
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed), kWhat);
    Capture::current() = &capture;
    try {
      body();
    } catch (...) {
      Capture::current() = nullptr;
      if (cudaStreamEndCapture(stream_, &graph) != cudaSuccess) cudaGetLastError();
      throw;
    }
    Capture::current() = nullptr;
    check(cudaStreamEndCapture(stream_, &graph), kWhat);
    return graph;
  }

  /// Puts an executable form of `graph` in front of the list.
  void place(const RecordingKey& key, const Graph& graph) {
    noteMemory(key);  // recording may have grown the scratch memory
    const int64_t bucket = tokenBucket(key.sizes[0]);
    // In a full bucket what holds no more gives way, else the one that was replayed least, of equal
    // ones that used last: sizes that come in turns, more of them than there is room for, would
    // else drive each other out.
    int same = 0;
    Place least = recordings_.end();
    const auto worth = [&](const Recording& r) { return r.generation == generation_ ? r.replays : -1; };
    for (auto r = recordings_.begin(); r != recordings_.end(); ++r) {
      if (r->entry != key.entry || tokenBucket(r->sizes[0]) != bucket) continue;
      same++;
      if (least == recordings_.end() || worth(*r) < worth(*least)) least = r;
    }
    if (same >= kGraphsPerBucket) {
      recordings_.splice(recordings_.begin(), recordings_, least);
    } else if (recordings_.size() >= kMostGraphs) {
      recordings_.splice(recordings_.begin(), recordings_, std::prev(recordings_.end()));
    } else {
      recordings_.emplace_front();
    }
    Recording& r = recordings_.front();
    r.generation = 0;  // until the update has succeeded
    r.entry = key.entry;
    r.sizes = key.sizes;
    r.replays = 0;
    if (update(r, graph)) {
      counts_.updated++;
    } else {
      instantiate(r, graph);
      counts_.made++;
    }
    r.generation = generation_;
  }

  static bool update(Recording& r, const Graph& graph) {
    if (r.exec == nullptr) return false;
    cudaGraphExecUpdateResultInfo info{};
    const cudaError_t error = cudaGraphExecUpdate(r.exec, graph.get(), &info);
    if (error == cudaSuccess) return true;
    cudaGetLastError();
    if (error != cudaErrorGraphExecUpdateFailure) check(error, kWhat);
    return false;
  }

  void instantiate(Recording& r, const Graph& graph) {
    if (r.exec) {
      // It may be under way.
      Device::instance().synchronize();
      destroy(r);
    }
    const cudaError_t error = cudaGraphInstantiate(&r.exec, graph.get(), 0);
    if (error == cudaSuccess) return;
    recordings_.pop_front();
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      fail("OUT_OF_MEMORY", Device::instance().name() +
                                ": there is no memory for a step as a CUDA graph. Use smaller batches (fewer tokens), "
                                "or FUSED_LORA_CUDA_GRAPHS=off");
    }
    check(error, kWhat);
  }

  static void destroy(Recording& r) {
    if (r.exec && cudaGraphExecDestroy(r.exec) != cudaSuccess) cudaGetLastError();
    r.exec = nullptr;
  }

  cudaStream_t stream_ = nullptr;
  StepBlock* block_ = nullptr;
  /// What the recordings of the present generation were made in.
  const float* scratch_ = nullptr;
  std::vector<uint64_t> memory_;
  int64_t generation_ = 1;
  /// The one used last in front.
  std::list<Recording> recordings_;
  Counts counts_;
};

}  // namespace

bool graphsWanted() {
  static const bool wanted = [] {
    const char* text = std::getenv("FUSED_LORA_CUDA_GRAPHS");
    return text == nullptr || std::strcmp(text, "off") != 0;
  }();
  return wanted;
}

std::unique_ptr<Recorder> makeRecorder() { return graphsWanted() ? std::make_unique<GraphRecorder>() : nullptr; }

}  // namespace fl::cuda
