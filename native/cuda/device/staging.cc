// Gathers a batch in pinned memory and queues its copies; waits only for the buffer that it fills
// anew. Why two buffers: staging.h. All other copies: memory.cc.
#include "cuda/device/staging.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "cuda/device/errors.h"

namespace fl::cuda {
namespace {

const char* const kWhat = "copying a batch to the GPU";

char* bytesOf(void* memory) { return static_cast<char*>(memory); }

}  // namespace

bool Staging::grow(Buffer& buffer, size_t bytes) {
  if (bytes <= buffer.capacity) return true;
  if (buffer.memory) cudaFreeHost(buffer.memory);
  buffer.memory = nullptr;
  buffer.capacity = 0;
  // Batches differ in size; pinning memory takes long.
  const size_t capacity = std::max<size_t>(2 * bytes, size_t{64} << 10);
  void* memory = nullptr;
  bool ok = cudaMallocHost(&memory, capacity) == cudaSuccess;
  if (ok && buffer.copied == nullptr)
    ok = cudaEventCreateWithFlags(&buffer.copied, cudaEventDisableTiming) == cudaSuccess;
  if (!ok) {
    // Without it copies are waited for: slower, not wrong.
    cudaGetLastError();
    if (memory) cudaFreeHost(memory);
    return false;
  }
  buffer.memory = bytesOf(memory);
  buffer.capacity = capacity;
  return true;
}

bool Staging::upload(std::span<const HostCopy> copies, cudaStream_t stream) {
  std::vector<HostCopy> sorted;
  for (const HostCopy& copy : copies)
    if (copy.bytes > 0) sorted.push_back(copy);
  if (sorted.empty()) return true;
  std::sort(sorted.begin(), sorted.end(), [](const HostCopy& a, const HostCopy& b) { return a.device < b.device; });

  const std::lock_guard lock(mutex_);
  Buffer& buffer = buffers_[next_];
  size_t bytes = 0;
  for (const HostCopy& copy : sorted) bytes += copy.bytes + kMostGap;
  if (buffer.copied) check(cudaEventSynchronize(buffer.copied), kWhat);
  if (!grow(buffer, bytes)) return false;
  next_ ^= 1;

  char* at = buffer.memory;
  for (size_t i = 0; i < sorted.size();) {
    char* const from = at;
    char* const to = bytesOf(sorted[i].device);
    size_t length = 0;
    for (; i < sorted.size(); i++) {
      const auto offset = static_cast<size_t>(bytesOf(sorted[i].device) - to);
      if (length > 0 && offset - length >= kMostGap) break;
      std::memset(from + length, 0, offset - length);
      std::memcpy(from + offset, sorted[i].host, sorted[i].bytes);
      length = offset + sorted[i].bytes;
    }
    check(cudaMemcpyAsync(to, from, length, cudaMemcpyHostToDevice, stream), kWhat);
    at += length;
  }
  check(cudaEventRecord(buffer.copied, stream), kWhat);
  return true;
}

}  // namespace fl::cuda
