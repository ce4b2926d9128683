// Which recorded step a batch may take over: steps of one bucket have nearly the same launches, so
// that an executable graph of one can be updated to another. A pure function, tested without a
// device (native/test/cuda_bucket_tests.cc).
#pragma once

#include <cstdint>

namespace fl::cuda {

/// Tokens up to which a batch belongs to the same bucket as one of `tokens`: multiples of 128 up to
/// 2048 tokens, from there eight steps to each doubling. At least `tokens`, and more by less than
/// 128 or an eighth.
constexpr int64_t tokenBucket(int64_t tokens) {
  int64_t step = 128;
  while (tokens > 16 * step) step *= 2;
  const int64_t whole = (tokens + step - 1) / step * step;
  return whole > 0 ? whole : step;
}

/// Executable graphs that are kept for a bucket and entry point: exact sizes come back (equal
/// batches, a small set of lengths), and a graph costs some hundred KiB.
constexpr int kGraphsPerBucket = 4;
/// Graphs of a program in all; beyond them the one unused for longest goes.
constexpr int kMostGraphs = 64;

}  // namespace fl::cuda
