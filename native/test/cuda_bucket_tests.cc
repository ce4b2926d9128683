// Token buckets of recorded steps (cuda/graph/buckets.h), without a device.
// That recorded steps give the same bits is recorded_step_tests.cc's.
#include "cuda/graph/buckets.h"

#include <set>

#include "test/tests.h"

namespace fl::test {
namespace {

using fl::cuda::tokenBucket;

/// Every count up to a million: not below it, not much above it, rising, and its own bucket's
/// bucket.
void buckets() {
  std::set<int64_t> small;
  int64_t before = 0;
  for (int64_t tokens = 1; tokens <= 1'000'000; tokens++) {
    const int64_t bucket = tokenBucket(tokens);
    const int64_t room = bucket - tokens;
    check(room >= 0 && (room < 128 || 8 * room < tokens),
          "a bucket of " + std::to_string(bucket) + " for " + std::to_string(tokens) + " tokens");
    check(bucket >= before, "buckets fall at " + std::to_string(tokens));
    check(tokenBucket(bucket) == bucket, std::to_string(bucket) + " is not in its own bucket");
    before = bucket;
    if (tokens <= 8192) small.insert(bucket);
  }
  check(small.size() == 32, "there are " + std::to_string(small.size()) + " buckets up to 8192 tokens, not 32");
  check(tokenBucket(0) == 128 && tokenBucket(128) == 128 && tokenBucket(129) == 256, "the first buckets");
  check(tokenBucket(2048) == 2048 && tokenBucket(2049) == 2304 && tokenBucket(4097) == 4608, "the first doublings");
  check(tokenBucket(int64_t{1} << 30) == int64_t{1} << 30, "the largest batch");
}

}  // namespace

void addCudaBucketTests(Suite& suite) { suite.add("cudaBuckets/tokens", buckets); }

}  // namespace fl::test
