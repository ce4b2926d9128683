// Best fit over a free list, played through in the order of instructions.
// What the layout promises is in arena.h; program/build.cc gives it the lifetimes.
#include "runtime/arena.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "runtime/error.h"

namespace fl {
namespace {

/// More than any machine has, so that no sum of offsets and sizes wraps.
constexpr int64_t kMaxArena = int64_t{1} << 60;

}  // namespace

ArenaLayout layOutArena(const std::vector<ArenaBuffer>& buffers) {
  ArenaLayout layout;
  layout.offsets.resize(buffers.size());
  std::vector<int> byFirst(buffers.size()), byLast(buffers.size());
  std::iota(byFirst.begin(), byFirst.end(), 0);
  std::iota(byLast.begin(), byLast.end(), 0);
  std::stable_sort(byFirst.begin(), byFirst.end(), [&](int a, int b) { return buffers[a].first < buffers[b].first; });
  std::stable_sort(byLast.begin(), byLast.end(), [&](int a, int b) { return buffers[a].last < buffers[b].last; });

  const auto rounded = [&](int i) { return (std::max<int64_t>(buffers[i].bytes, 1) + 63) / 64 * 64; };
  std::map<int64_t, int64_t> free;  // offset -> bytes, neighbours merged
  const auto giveBack = [&](int64_t offset, int64_t bytes) {
    auto next = free.lower_bound(offset);
    if (next != free.end() && offset + bytes == next->first) {
      bytes += next->second;
      next = free.erase(next);
    }
    if (next != free.begin()) {
      auto previous = std::prev(next);
      if (previous->first + previous->second == offset) {
        previous->second += bytes;
        return;
      }
    }
    free[offset] = bytes;
  };

  size_t ended = 0;
  for (const int i : byFirst) {
    while (ended < byLast.size() && buffers[byLast[ended]].last < buffers[i].first) {
      giveBack(layout.offsets[byLast[ended]], rounded(byLast[ended]));
      ended++;
    }
    const int64_t bytes = rounded(i);
    auto best = free.end();
    for (auto it = free.begin(); it != free.end(); ++it)
      if (it->second >= bytes && (best == free.end() || it->second < best->second)) best = it;
    if (best == free.end() && !free.empty()) {
      // Grow the block at the end when it is free: less waste than a new piece behind it.
      const auto last = std::prev(free.end());
      if (last->first + last->second == layout.totalBytes) best = last;
    }
    if (best == free.end()) {
      if (bytes > kMaxArena - layout.totalBytes)
        fail("OUT_OF_MEMORY", "the values of a step need more than 2^60 bytes");
      layout.offsets[i] = layout.totalBytes;
      layout.totalBytes += bytes;
      continue;
    }
    const auto [offset, available] = *best;
    free.erase(best);
    layout.offsets[i] = offset;
    if (available > bytes)
      free[offset + bytes] = available - bytes;
    else
      layout.totalBytes = std::max(layout.totalBytes, offset + bytes);
  }
  return layout;
}

}  // namespace fl
