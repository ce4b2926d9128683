// Who needs how much of the one block, and when it is allocated anew.
// Why it can be shared is in shared_arena.h; program/run.cc takes it for each step.
#include "runtime/shared_arena.h"

#include <algorithm>

#include "runtime/error.h"

namespace fl {

int64_t allocateForSteps(Memory& memory, int64_t bytes, void*& block) {
  // Batches differ in size: an eighth more than needed spares most of the later growth, where there
  // is room for it.
  const int64_t capacity = bytes + bytes / 8;
  try {
    block = memory.allocate(static_cast<size_t>(capacity));
    return capacity;
  } catch (const Error& error) {
    if (error.code() != "OUT_OF_MEMORY") throw;
  }
  block = memory.allocate(static_cast<size_t>(bytes));
  return bytes;
}

void* SharedArena::take(Memory& memory, const void* owner, int64_t bytes) {
  const std::lock_guard lock(mutex_);
  int64_t& need = needs_[owner];
  need = std::max(need, bytes);
  // Far more than anyone left needs is given back.
  const bool tooLarge = capacity_ / 3 > most();
  if (block_ && bytes <= capacity_ && !tooLarge) return block_;
  if (block_) memory.release(block_);
  block_ = nullptr;
  capacity_ = 0;
  capacity_ = allocateForSteps(memory, std::max(most(), int64_t{1}), block_);
  return block_;
}

void SharedArena::leave(Memory& memory, const void* owner) {
  const std::lock_guard lock(mutex_);
  needs_.erase(owner);
  if (!needs_.empty() || !block_) return;
  memory.release(block_);
  block_ = nullptr;
  capacity_ = 0;
}

int64_t SharedArena::capacity() const {
  const std::lock_guard lock(mutex_);
  return capacity_;
}

int64_t SharedArena::most() const {
  int64_t most = 0;
  for (const auto& [owner, bytes] : needs_) most = std::max(most, bytes);
  return most;
}

}  // namespace fl
