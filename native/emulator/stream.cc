// Streams as queues that run when somebody waits, events, and graphs: queues that were recorded.
// What a launched kernel then does is grid.cc's.
#include <chrono>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "device.h"
#include "faults.h"

namespace {

using fl::emulator::answer;
using Clock = std::chrono::steady_clock;

enum class Kind { kernel, copy, set, event };
struct Work {
  Kind kind;
  std::function<cudaError_t()> run;
};

}  // namespace

struct cudaGraphTag {
  std::vector<Work> nodes;
};
struct cudaGraphExecTag {
  std::vector<Work> nodes;
};
struct cudaStreamTag {
  std::vector<Work> queue;
  cudaGraphTag* recording = nullptr;
  bool invalid = false;
};
struct cudaEventTag {
  cudaStream_t stream = nullptr;
  Clock::time_point time;
};

namespace fl::emulator {
namespace {

using Guard = std::lock_guard<std::recursive_mutex>;

std::vector<cudaStream_t>& streams() {
  static std::vector<cudaStream_t>& all = *new std::vector<cudaStream_t>;
  return all;
}

thread_local cudaStream_t capturedByThread = nullptr;

void drain(cudaStream_t stream) {
  std::vector<Work> queue;
  queue.swap(stream->queue);
  for (const Work& work : queue) {
    if (stickyError() != cudaSuccess) return;
    const cudaError_t error = work.run();
    if (error != cudaSuccess) stickyError() = error;
  }
}

cudaError_t submit(cudaStream_t stream, Kind kind, std::function<cudaError_t()> run) {
  if (stream->recording != nullptr)
    stream->recording->nodes.push_back({kind, std::move(run)});
  else
    stream->queue.push_back({kind, std::move(run)});
  return cudaSuccess;
}

}  // namespace

bool refuseWhileCapturing() {
  if (capturedByThread == nullptr) return false;
  capturedByThread->invalid = true;
  return true;
}

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel, std::function<void()> thread) {
  const Guard guard(deviceMutex());
  if (fault("noKernelImage")) return answer(cudaErrorNoKernelImageForDevice);
  if (stickyError() != cudaSuccess) return answer(cudaSuccess);
  if (!isPossible(config, kernel)) return answer(cudaErrorInvalidConfiguration);
  static long asked = 0;
  if (fault("noKernelMemory") == ++asked) return answer(cudaErrorMemoryAllocation);
  return answer(submit(config.stream, Kind::kernel, [config, cluster = clusterOf(config), thread = std::move(thread)] {
    static long launches = 0;
    if (fault("failAtLaunch") == ++launches) return cudaErrorIllegalAddress;
    // The first one shows that the device works.
    if (!fault("noKernels") || launches == 1) runGrid(config, cluster, thread);
    return cudaSuccess;
  }));
}

void drainAll() {
  for (cudaStream_t stream : streams())
    if (stream->recording == nullptr) drain(stream);
}

}  // namespace fl::emulator

using fl::emulator::capturedByThread;
using fl::emulator::deviceMutex;
using fl::emulator::Guard;
using fl::emulator::refuseWhileCapturing;
using fl::emulator::submit;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const Guard guard(deviceMutex());
  *stream = new cudaStreamTag;
  fl::emulator::streams().push_back(*stream);
  return answer(cudaSuccess);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const Guard guard(deviceMutex());
  std::erase(fl::emulator::streams(), stream);
  delete stream;
  return answer(cudaSuccess);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const Guard guard(deviceMutex());
  if (refuseWhileCapturing() || stream->recording != nullptr) return answer(cudaErrorStreamCaptureUnsupported);
  fl::emulator::drain(stream);
  return answer(cudaSuccess);
}

/// Refused while any thread records, and the recording is spoilt by it.
cudaError_t cudaDeviceSynchronize() {
  const Guard guard(deviceMutex());
  for (cudaStream_t stream : fl::emulator::streams()) {
    if (stream->recording == nullptr) continue;
    stream->invalid = true;
    return answer(cudaErrorStreamCaptureUnsupported);
  }
  fl::emulator::drainAll();
  return answer(cudaSuccess);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new cudaEventTag;
  return answer(cudaSuccess);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return answer(cudaSuccess);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const Guard guard(deviceMutex());
  event->stream = stream;
  return answer(submit(stream, Kind::event, [event] {
    event->time = Clock::now();
    return cudaSuccess;
  }));
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return event->stream ? cudaStreamSynchronize(event->stream) : answer(cudaSuccess);
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t stop) {
  *milliseconds = std::chrono::duration<float, std::milli>(stop->time - start->time).count();
  return answer(cudaSuccess);
}

/// In every mode as strict as in the global one.
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  const Guard guard(deviceMutex());
  if (stream->recording != nullptr || capturedByThread != nullptr || !stream->queue.empty())
    return answer(cudaErrorStreamCaptureUnsupported);
  stream->recording = new cudaGraphTag;
  stream->invalid = false;
  capturedByThread = stream;
  return answer(cudaSuccess);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const Guard guard(deviceMutex());
  *graph = nullptr;
  if (stream->recording == nullptr || capturedByThread != stream) return answer(cudaErrorStreamCaptureInvalidated);
  *graph = std::exchange(stream->recording, nullptr);
  capturedByThread = nullptr;
  if (!stream->invalid) return answer(cudaSuccess);
  delete std::exchange(*graph, nullptr);
  return answer(cudaErrorStreamCaptureInvalidated);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return answer(cudaSuccess);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  if (fl::emulator::fault("noInstantiate")) return answer(cudaErrorMemoryAllocation);
  *exec = new cudaGraphExecTag{graph->nodes};
  return answer(cudaSuccess);
}

/// Takes what is topologically identical, and nothing else.
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph, cudaGraphExecUpdateResultInfo* info) {
  bool same = exec->nodes.size() == graph->nodes.size();
  for (size_t i = 0; same && i < exec->nodes.size(); i++) same = exec->nodes[i].kind == graph->nodes[i].kind;
  info->result = same ? 0 : 1;
  if (!same) return answer(cudaErrorGraphExecUpdateFailure);
  exec->nodes = graph->nodes;
  return answer(cudaSuccess);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return answer(cudaSuccess);
}

/// What was launched stays as it was, whatever becomes of the graph.
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  const Guard guard(deviceMutex());
  for (const Work& node : exec->nodes) stream->queue.push_back(node);
  return answer(cudaSuccess);
}

cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t stream) {
  const Guard guard(deviceMutex());
  return answer(submit(stream, Kind::set, [=] {
    std::memset(memory, value, bytes);
    return cudaSuccess;
  }));
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  const Guard guard(deviceMutex());
  if (to == nullptr || from == nullptr) return answer(cudaErrorInvalidValue);
  if (kind == cudaMemcpyHostToDevice && !fl::emulator::isPinned(from)) {
    // Pageable memory is free again on return.
    std::string copy(static_cast<const char*>(from), bytes);
    return answer(submit(stream, Kind::copy, [to, copy = std::move(copy)] {
      std::memcpy(to, copy.data(), copy.size());
      return cudaSuccess;
    }));
  }
  const cudaError_t error = submit(stream, Kind::copy, [=] {
    std::memcpy(to, from, bytes);
    return cudaSuccess;
  });
  // To pageable memory it is there on return.
  if (kind == cudaMemcpyDeviceToHost && !fl::emulator::isPinned(to) && stream->recording == nullptr)
    fl::emulator::drain(stream);
  return answer(error);
}
