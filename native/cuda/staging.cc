#include "cuda/staging.h"

#include <cstring>

#include "cuda/device.h"

namespace fl::cuda {

bool Staging::open() {
  if (tried_) return slots_ != nullptr;
  tried_ = true;
  void* memory = nullptr;
  bool ok = cudaMallocHost(&memory, kSlots * kSlotBytes) == cudaSuccess;
  for (cudaEvent_t& event : free_) ok = ok && cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess;
  if (ok) slots_ = static_cast<char*>(memory);
  // Without it copies are waited for: slower, not wrong.
  if (!ok) cudaGetLastError();
  return ok;
}

bool Staging::upload(void* device, const void* host, size_t bytes, cudaStream_t stream) {
  if (bytes > kSlotBytes) return false;
  const std::lock_guard lock(mutex_);
  if (!open()) return false;
  const char* const what = "copying to the GPU";
  cudaEvent_t const event = free_[next_];
  char* const slot = slots_ + static_cast<size_t>(next_) * kSlotBytes;
  next_ = (next_ + 1) % kSlots;
  check(cudaEventSynchronize(event), what);  // done at once for a slot that was never used
  std::memcpy(slot, host, bytes);
  check(cudaMemcpyAsync(device, slot, bytes, cudaMemcpyHostToDevice, stream), what);
  check(cudaEventRecord(event, stream), what);
  return true;
}

}  // namespace fl::cuda
