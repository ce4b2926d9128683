// Slices out of a tensor's memory and into it, bucket by bucket, as many as are stepped by then.
// The promises: slice_gather.h.
#include "distributed/slice_gather.h"

#include <algorithm>

namespace fl::mpi {
namespace {

/// Above those of gradient_sum.cc. MPI promises tags up to 32767.
constexpr int kFirstGatherTag = 8300, kGatherTags = 8192;

}  // namespace

SliceGather::SliceGather(std::shared_ptr<const GradientSum> sum, Parameter::Slot slot, int to)
    : sum_(std::move(sum)), what_(slot), to_(to), data_(sum_->tensors().size(), nullptr) {}

void SliceGather::skip() {
  isSkipped_ = true;
  // Still no piece: whoever waits for one looks again.
  setFinished(0);
}

void SliceGather::begin(int rank, int size) {
  if (sum_->size() != size) fail("INTERNAL", "slices are gathered of a sum that was not made");
  rank_ = rank;
  size_ = size;
  buckets_.clear();
  int ranges = 0;
  for (size_t b = 0; b < sum_->buckets().size(); b++) {
    if (!sum_->isDivided() || sum_->buckets()[b].isSmall) continue;
    const int tensor = sum_->buckets()[b].pieces[0].tensor;
    Parameter& parameter = *sum_->tensors()[static_cast<size_t>(tensor)].parameter;
    data_[static_cast<size_t>(tensor)] = static_cast<float*>(parameter.tensor(what_).data);
    if (sum_->sliceOf(b, rank).count > 0) ranges++;
    buckets_.push_back({b, ranges});
  }
  for (Slot& slot : slots_) slot = {};
  nextBucket_ = finishedBuckets_ = 0;
  report_ = {0, static_cast<int>(buckets_.size()), 0};
}

bool SliceGather::advance(Mpi& mpi) {
  throwIfCancelled();
  bool moved = false;
  const int finished = finishedPieces();
  if (isSkipped_) return true;
  for (Slot& slot : slots_) {
    if (!slot.isBusy) {
      if (nextBucket_ == buckets_.size() || buckets_[nextBucket_].after >= finished) continue;
      if (finished != kAll) report_.early++;
      start(mpi, buckets_[nextBucket_++].bucket, slot);
      moved = true;
    }
    moved = removeDone(mpi, slot.waited) || moved;
    if (!slot.waited.empty()) continue;
    slot.isBusy = false;
    finishedBuckets_++;
    moved = true;
  }
  return moved;
}

void SliceGather::start(Mpi& mpi, size_t bucket, Slot& slot) {
  const Bucket::Piece& piece = sum_->buckets()[bucket].pieces[0];
  float* const values = data_[static_cast<size_t>(piece.tensor)] + piece.at;
  const int tag = kFirstGatherTag + static_cast<int>(bucket) % kGatherTags;
  const Slice& mine = sum_->sliceOf(bucket, rank_);
  slot.isBusy = true;
  for (int step = 1; step < size_; step++) {
    const int from = (rank_ + size_ - step) % size_, to = (rank_ + step) % size_;
    const Slice& theirs = sum_->sliceOf(bucket, from);
    if (to_ < 0 || to_ == rank_) receive(mpi, slot.waited, values + theirs.begin, 4 * theirs.count, from, tag);
    if (to_ < 0 || to_ == to) send(mpi, slot.waited, values + mine.begin, 4 * mine.count, to, tag);
  }
}

bool SliceGather::isWaiting() const {
  return std::any_of(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.isBusy; });
}

std::vector<int> SliceGather::waitedFor() const {
  std::vector<int> ranks;
  for (const Slot& slot : slots_)
    for (const Waited& one : slot.waited) ranks.push_back(one.rank);
  return ranks;
}

}  // namespace fl::mpi
