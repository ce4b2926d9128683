// Offsets of buffers with known lifetimes in one block of memory: an allocator played through once,
// in instruction order. Lifetimes come from program/build.cc.
#pragma once

#include <cstdint>
#include <vector>

namespace fl {

/// A buffer written first by instruction `first` and read last by instruction `last` (inclusive).
struct ArenaBuffer {
  int64_t bytes;
  int first;
  int last;
};

struct ArenaLayout {
  /// Byte offset of each buffer, a multiple of 64.
  std::vector<int64_t> offsets;
  int64_t totalBytes = 0;
};

/// Best fit over a free list, in the order of `first`; buffers whose lifetimes overlap never share
/// a byte. Linear in the number of buffers but for the (short) free list, so it can run before
/// every step.
ArenaLayout layOutArena(const std::vector<ArenaBuffer>& buffers);

}  // namespace fl
