// Rows added to rows of a table, table[index[i]] += rows[i], without atomics: positions are sorted
// by (index, i), and each table row's terms are summed in that order, in pieces of 64 sorted
// positions. embedding.cu and gather_rows.cu call it.
#pragma once

#include <cstdint>

namespace fl::cuda {

struct ScatterRows {
  const int32_t* index = nullptr;  // [count], each a row of the table
  const float* rows = nullptr;     // [count, cols]
  float* table = nullptr;          // [?, cols]
  int64_t count = 0, cols = 0;
  /// Rows of this index are left out; -1: none.
  int64_t skip = -1;
};

void run(const char* op, const ScatterRows& scatter);

}  // namespace fl::cuda
