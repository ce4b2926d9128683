// One growing block of memory for each slot and calling thread, freed with the thread.
// Who uses which slot: workspace.h.
#include "cpu/gemm/workspace.h"

#include <array>
#include <deque>
#include <new>
#include <string>

#include "runtime/error.h"

namespace fl::cpu {
namespace {

constexpr std::align_val_t kAlignment{64};

class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
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

using BufferSet = std::array<Buffer, static_cast<size_t>(WorkspaceSlot::kCount)>;

thread_local int64_t currentSet = 0;

void* memoryOf(WorkspaceSlot slot, int64_t count) {
  // A deque: buffers stay where they are when sets are added.
  thread_local std::deque<BufferSet> sets;
  const auto set = static_cast<size_t>(currentSet);
  while (sets.size() <= set) sets.emplace_back();
  return sets[set][static_cast<size_t>(slot)].atLeast(count);
}

}  // namespace

WorkspaceSet::WorkspaceSet(int64_t set) : before_(currentSet) { currentSet = set; }
WorkspaceSet::~WorkspaceSet() { currentSet = before_; }

float* workspace(WorkspaceSlot slot, int64_t count) { return static_cast<float*>(memoryOf(slot, count)); }
Word* wordWorkspace(WorkspaceSlot slot, int64_t count) { return static_cast<Word*>(memoryOf(slot, count)); }

}  // namespace fl::cpu
