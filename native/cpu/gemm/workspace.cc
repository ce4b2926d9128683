// One growing block of memory for each slot and calling thread, freed with the thread.
// Who uses which slot: workspace.h.
#include "cpu/gemm/workspace.h"

#include <new>
#include <string>

#include "runtime/error.h"

namespace fl::cpu {
namespace {

constexpr std::align_val_t kAlignment{64};

class Buffer {
 public:
  ~Buffer() { ::operator delete(memory_, kAlignment); }

  void* atLeast(int64_t count) {
    if (count > count_) {
      ::operator delete(memory_, kAlignment);
      memory_ = nullptr;
      count_ = 0;
      const auto bytes = static_cast<size_t>(count) * sizeof(float);
      memory_ = ::operator new(bytes, kAlignment, std::nothrow);
      if (memory_ == nullptr) fail("OUT_OF_MEMORY", "no memory for a workspace of " + std::to_string(bytes) + " bytes");
      count_ = count;
    }
    return memory_;
  }

 private:
  void* memory_ = nullptr;
  int64_t count_ = 0;
};

static_assert(sizeof(Word) == sizeof(float));

void* memoryOf(WorkspaceSlot slot, int64_t count) {
  thread_local Buffer buffers[static_cast<int>(WorkspaceSlot::kCount)];
  return buffers[static_cast<int>(slot)].atLeast(count);
}

}  // namespace

float* workspace(WorkspaceSlot slot, int64_t count) { return static_cast<float*>(memoryOf(slot, count)); }
Word* wordWorkspace(WorkspaceSlot slot, int64_t count) { return static_cast<Word*>(memoryOf(slot, count)); }

}  // namespace fl::cpu
