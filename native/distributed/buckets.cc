// Buckets by the order in which gradients are finished, small tensors together.
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
        add({{{tensor, at, part}}, part, finishedAt(tensor)});
      }
      continue;
    }
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

}  // namespace fl::mpi
