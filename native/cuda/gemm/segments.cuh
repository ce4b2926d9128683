// Segments of rows with an adapter each (ops/segmented_lora_linear.h), as kernels find them: the
// table lies on the device, so that a launch depends on its sizes alone. A grid has as many tiles
// of rows as there can be, and a block asks which is its own; tiles never lie across a segment's
// end.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/gemm/selection.h"

namespace fl::cuda {

struct Segments {
  const int32_t* ends = nullptr;    // [slots]
  const float* settings = nullptr;  // [slots, 2]: rank and scaling
  /// 0: rows have no segments.
  int slots = 0;
  int64_t rows = 0;
  /// Of a slot.
  int64_t mostRank = 0;

  /// At least the tiles of `tileRows` rows that the segments take.
  int64_t mostTiles(int tileRows) const { return rows / tileRows + slots + 1; }
};

/// Rows [row, end) of a segment [first, end): those of a tile and what follows.
struct SegmentTile {
  bool found = false;
  int slot = 0;
  int64_t first = 0, end = 0, row = 0, rank = 0;
  float scaling = 0;
};

/// What a slot's settings say, within what a slot holds.
__device__ inline int64_t rankOf(const Segments& s, int slot) {
  const float rank = s.settings[2 * slot];
  return rank >= 1 ? static_cast<int64_t>(rank < static_cast<float>(s.mostRank) ? rank : s.mostRank) : 0;
}

/// The segment of slot `slot`; slot `slots` is that of the rows without an adapter.
__device__ inline SegmentTile segmentOf(const Segments& s, int slot) {
  SegmentTile t;
  for (t.slot = 0;; t.slot++) {
    const int64_t end = t.slot < s.slots ? s.ends[t.slot] : s.rows;
    t.end = end < t.first ? t.first : end > s.rows ? s.rows : end;
    if (t.slot == slot) break;
    t.first = t.end;
  }
  t.row = t.first;
  t.found = t.end > t.first;
  if (slot == s.slots) {
    t.slot = 0;  // a place that exists; nothing is read there
    return t;
  }
  t.rank = rankOf(s, slot);
  t.scaling = s.settings[2 * slot + 1];
  return t;
}

/// Tile `tile` of all; not found: there are fewer.
__device__ inline SegmentTile segmentTile(const Segments& s, int64_t tile, int tileRows) {
  int64_t first = 0;
  for (int slot = 0; slot <= s.slots; slot++) {
    const int64_t given = slot < s.slots ? s.ends[slot] : s.rows;
    const int64_t end = given < first ? first : given > s.rows ? s.rows : given;
    const int64_t count = (end - first + tileRows - 1) / tileRows;
    if (tile < count) {
      SegmentTile t = segmentOf(s, slot);
      t.row += tile * tileRows;
      return t;
    }
    tile -= count;
    first = end;
  }
  return {};
}

}  // namespace fl::cuda
