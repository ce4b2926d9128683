// How gradients are divided into the buckets in which they travel, those that are finished first in
// front, and buckets into the slices that each rank sums. The same on all ranks, as it depends on
// the program and their number alone. What is done with a bucket: gradient_sum.h.
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
  /// Values of a bucket at most: 4 MiB. Slices of it stay in a cache until they are summed. A
  /// multiple of `chunk`.
  int64_t most = int64_t{1} << 20;
  /// Tensors below this many values (256 KiB) share buckets of at least as many.
  int64_t small = int64_t{1} << 16;
  /// What the norm of gradients is summed by (SquaredNormOp::kChunk): where the optimizer is
  /// divided among ranks, no chunk is.
  int64_t chunk = int64_t{1} << 16;
  /// Values from which on that pays: of tensors that are not small, together.
  int64_t divided = int64_t{1} << 21;
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
  /// Of a tensor that is small: with others, or by itself where there are no others.
  bool isSmall = false;
};

/// Every value in one bucket, in the order in which buckets are finished; a tensor that is not
/// small has buckets of its own, so that it can be sent from where it lies.
std::vector<Bucket> layOutBuckets(std::span<const GradientExtent> tensors, const BucketSizes& sizes);

/// Part of a bucket.
struct Slice {
  int64_t begin, count;
  int64_t end() const { return begin + count; }
};

/// slices[bucket][rank]: as many values for each rank as can be. With a `chunk`, whole chunks of
/// buckets that are not small: what is left over goes to ranks in turn, over all buckets.
std::vector<std::vector<Slice>> sliceBuckets(std::span<const Bucket> buckets, int ranks, int64_t chunk = 0);

}  // namespace fl::mpi
