// Buckets by the order in which gradients are finished, small tensors together, and their slices.
// The promises: buckets.h.
#include "distributed/buckets.h"

#include <algorithm>
#include <numeric>

namespace fl::mpi {

std::vector<Bucket> layOutBuckets(std::span<const GradientExtent> tensors, const BucketSizes& sizes) {
  std::vector<int> order(tensors.size());
  // Of tensors that one instruction finishes, the last first: any fixed order would do.
  std::iota(order.rbegin(), order.rend(), 0);
  const auto finishedAt = [&](int tensor) { return tensors[static_cast<size_t>(tensor)].finishedAt; };
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return finishedAt(a) < finishedAt(b); });
  std::vector<Bucket> buckets;
  Bucket shared;
  const auto add = [&](Bucket&& bucket) {
    if (!buckets.empty()) bucket.offset = buckets.back().offset + buckets.back().count;
    buckets.push_back(std::move(bucket));
  };
  for (const int tensor : order) {
    const int64_t count = tensors[static_cast<size_t>(tensor)].count;
    if (count >= sizes.small) {
      for (int64_t at = 0; at < count; at += sizes.most) {
        const int64_t part = std::min(sizes.most, count - at);
        Bucket own;
        own.pieces.push_back({tensor, at, part});
        own.count = part;
        own.finishedAt = finishedAt(tensor);
        add(std::move(own));
      }
      continue;
    }
    shared.isSmall = true;
    shared.pieces.push_back({tensor, 0, count});
    shared.count += count;
    shared.finishedAt = finishedAt(tensor);
    if (shared.count < sizes.small) continue;
    add(std::move(shared));
    shared = {};
  }
  if (!shared.pieces.empty()) add(std::move(shared));
  return buckets;
}

std::vector<std::vector<Slice>> sliceBuckets(std::span<const Bucket> buckets, int ranks, int64_t chunk) {
  std::vector<std::vector<Slice>> all;
  // Whose turn it is to take a chunk more.
  int64_t turn = 0;
  for (const Bucket& bucket : buckets) {
    std::vector<Slice>& slices = all.emplace_back();
    int64_t begin = 0;
    const auto add = [&](int64_t end) {
      slices.push_back({begin, end - begin});
      begin = end;
    };
    if (chunk == 0 || bucket.isSmall) {
      for (int rank = 0; rank < ranks; rank++) add((rank + 1) * bucket.count / ranks);
      continue;
    }
    const int64_t chunks = (bucket.count + chunk - 1) / chunk, left = chunks % ranks;
    for (int rank = 0; rank < ranks; rank++) {
      const bool takesMore = (rank - turn + ranks) % ranks < left;
      add(std::min(bucket.count, begin + (chunks / ranks + (takesMore ? 1 : 0)) * chunk));
    }
    turn = (turn + left) % ranks;
  }
  return all;
}

}  // namespace fl::mpi
