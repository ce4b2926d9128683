// One block of memory for what lives within a step, for all programs of a backend: one step runs at
// a time, so that programs that take turns (several trainings, evaluation between steps) need the
// memory of the largest, not of all. What outlives a step is each program's own (program/run.cc).
#pragma once

#include <cstdint>
#include <map>
#include <mutex>

#include "runtime/memory.h"

namespace fl {

/// Grows to the largest that is asked for; shrinks, or ends, as those who asked for more leave.
class SharedArena {
 public:
  SharedArena() = default;
  SharedArena(const SharedArena&) = delete;
  SharedArena& operator=(const SharedArena&) = delete;

  /// The block, of `bytes` at the least, for one step of `owner`; another owner may have written to
  /// it since the last. Called by the one whose step it is. Throws OUT_OF_MEMORY.
  void* take(Memory& memory, const void* owner, int64_t bytes);

  /// `owner` asks no more. Whoever's step is running keeps the block.
  void leave(Memory& memory, const void* owner);

  int64_t capacity() const;

 private:
  int64_t most() const;

  mutable std::mutex mutex_;
  /// The most that each owner has asked for.
  std::map<const void*, int64_t> needs_;
  void* block_ = nullptr;
  int64_t capacity_ = 0;
};

/// Allocates a block for batches that need `bytes`, and gives what it holds.
int64_t allocateForSteps(Memory& memory, int64_t bytes, void*& block);

}  // namespace fl
