// How gradients are divided into the buckets in which they travel: those that are finished first
// leave first. The same on all ranks, as it depends on the program alone. What is done with a
// bucket: gradient_sum.h.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fl::mpi {

/// A gradient of `count` values that no instruction after number `finishedAt` reads or writes.
struct GradientExtent {
  int64_t count;
  int finishedAt;
};

struct BucketSizes {
  /// Values of a bucket at most: 4 MiB. Slices of it stay in a cache until they are summed.
  int64_t most = int64_t{1} << 20;
  /// Tensors below this many values (256 KiB) share buckets of at least as many.
  int64_t small = int64_t{1} << 16;
};

struct Bucket {
  struct Piece {
    /// Index of a tensor, and which of its values.
    int tensor;
    int64_t at, count;
  };
  std::vector<Piece> pieces;
  /// Of all pieces together.
  int64_t count = 0;
  /// Of the last of them.
  int finishedAt = -1;
  /// Values of all buckets before this one.
  int64_t offset = 0;
};

/// Every value in one bucket, in the order in which buckets are finished; a tensor that is not
/// small has buckets of its own, so that it can be sent from where it lies.
std::vector<Bucket> layOutBuckets(std::span<const GradientExtent> tensors, const BucketSizes& sizes);

}  // namespace fl::mpi
