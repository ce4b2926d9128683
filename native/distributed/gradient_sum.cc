// Buckets on their way: slices of summands out and in, the sum, the sum's slices out and in. Which
// of them there are, and the order of a sum: gradient_sum.h.
#include "distributed/gradient_sum.h"

#include <algorithm>
#include <cstring>

#include "distributed/ordered_sum.h"

namespace fl::mpi {
namespace {

/// Above those of transport.cc. MPI promises tags up to 32767.
constexpr int kFirstTag = 16, kTags = 8192, kNormsTag = kFirstTag + kTags;

}  // namespace

GradientSum::GradientSum(std::vector<Tensor> tensors, const BucketSizes& sizes, ChunkNorm norm)
    : tensors_(std::move(tensors)), sizes_(sizes) {
  std::vector<GradientExtent> extents;
  int64_t large = 0;
  for (const Tensor& tensor : tensors_) {
    const Parameter& parameter = *tensor.parameter;
    extents.push_back({parameter.count(), tensor.finishedAt});
    count_ += parameter.count();
    if (parameter.count() >= sizes.small) large += parameter.count();
    if (&parameter.memory() != &hostMemory() || parameter.dtype() != DType::f32) isStaged_ = true;
  }
  buckets_ = layOutBuckets(extents, sizes);
  if (!isStaged_ && large >= sizes.divided) norm_ = norm;
}

/// The program's gradients as they are now, where they can be read as floats of the host.
void GradientSum::take() {
  data_.resize(tensors_.size());
  if (isStaged_) staged_.resize(static_cast<size_t>(count_));
  int64_t at = 0;
  for (size_t t = 0; t < tensors_.size(); t++) {
    Parameter& parameter = *tensors_[t].parameter;
    data_[t] = isStaged_ ? staged_.data() + at : static_cast<float*>(parameter.tensor(Parameter::Slot::gradient).data);
    at += parameter.count();
  }
}

void GradientSum::readStaged() {
  if (!isStaged_) return;
  for (size_t t = 0; t < tensors_.size(); t++) tensors_[t].parameter->read(Parameter::Slot::gradient, data_[t]);
}

void GradientSum::hold(bool add) {
  take();
  readStaged();
  const bool adds = add && heldCount_ > 0;
  if (!adds) {
    heldCount_++;
    if (held_.size() < static_cast<size_t>(heldCount_)) held_.emplace_back(static_cast<size_t>(count_));
  }
  float* to = held_[static_cast<size_t>(heldCount_ - 1)].data();
  for (const Bucket& bucket : buckets_)
    for (const Bucket::Piece& piece : bucket.pieces) {
      const float* from = dataOf(piece.tensor) + piece.at;
      if (adds)
        sumInOrder(to, std::array{static_cast<const float*>(to), from}, piece.count);
      else
        std::memcpy(to, from, static_cast<size_t>(piece.count) * 4);
      to += piece.count;
    }
}

void GradientSum::finished(int instructions) {
  // On another device they may only have been launched.
  if (!isStaged_) setFinished(instructions);
}

void GradientSum::finishedAll() {
  readStaged();
  setFinished(kAll);
}

void GradientSum::begin(int rank, int size) {
  if (summands_.size() != static_cast<size_t>(size))
    fail("INVALID_ARGUMENT", "a sum has a number of summands for each of the " + std::to_string(size) + " ranks");
  const int own = summands_[static_cast<size_t>(rank)];
  addsHeld_ = own == 1 && heldCount_ == 1;
  if (!addsHeld_ && heldCount_ != std::max(0, own - 1))
    fail("INTERNAL",
         "a rank of " + std::to_string(own) + " summands holds " + std::to_string(heldCount_) + " of its own");
  heldCount_ = 0;
  if (size != size_ || rank != rank_) {
    rank_ = rank;
    size_ = size;
    slices_ = sliceBuckets(buckets_, size, isDivided() ? sizes_.chunk : 0);
    if (isDivided()) layOutNorms();
  }
  for (Slot& slot : slots_) slot.bucket = -1;
  nextBucket_ = finishedBuckets_ = 0;
  norms_ = Norms::none;
  report_ = {0, static_cast<int>(buckets_.size()), 0};
}

void GradientSum::layOutNorms() {
  std::vector<size_t> chunks(static_cast<size_t>(size_), 0);
  chunksBefore_.clear();
  for (size_t b = 0; b < buckets_.size(); b++) {
    chunksBefore_.push_back(chunks[static_cast<size_t>(rank_)]);
    if (!isDivided(buckets_[b])) continue;
    for (size_t r = 0; r < chunks.size(); r++)
      chunks[r] += static_cast<size_t>((slices_[b][r].count + sizes_.chunk - 1) / sizes_.chunk);
  }
  firstNorm_.assign(1, 0);
  for (const size_t count : chunks) firstNorm_.push_back(firstNorm_.back() + count);
  chunkNorms_.resize(firstNorm_.back());
}

bool GradientSum::advance(Mpi& mpi) {
  throwIfCancelled();
  bool moved = false;
  const int finished = finishedPieces();
  for (Slot& slot : slots_) {
    if (slot.bucket < 0) {
      if (nextBucket_ == buckets_.size() || buckets_[nextBucket_].finishedAt >= finished) continue;
      slot.bucket = static_cast<int>(nextBucket_++);
      if (finished != kAll) report_.early++;
      start(mpi, slot);
      moved = true;
    }
    moved = removeDone(mpi, slot.waited) || moved;
    if (!slot.waited.empty()) continue;
    moved = true;
    if (!slot.isSummed) {
      add(slot);
      slot.isSummed = true;
      if (!isDivided(bucketOf(slot))) {
        sendSum(mpi, slot);
        continue;
      }
    }
    finish(slot);
  }
  if (!isDivided() || finishedBuckets_ < buckets_.size() || norms_ == Norms::there) return moved;
  if (norms_ == Norms::none) exchangeNorms(mpi);
  moved = removeDone(mpi, normsWaited_) || moved;
  if (!normsWaited_.empty()) return moved;
  addUpNorms();
  norms_ = Norms::there;
  return true;
}

bool GradientSum::isDone() const {
  return finishedBuckets_ == buckets_.size() && (!isDivided() || norms_ == Norms::there);
}

float* GradientSum::valuesOf(Slot& slot) {
  const Bucket& bucket = bucketOf(slot);
  if (bucket.pieces.size() > 1) return slot.flat.data();
  return dataOf(bucket.pieces[0].tensor) + bucket.pieces[0].at;
}

const float* GradientSum::summandOf(Slot& slot, int k) {
  if (k == summands_[static_cast<size_t>(rank_)] - 1) return valuesOf(slot);
  return held_[static_cast<size_t>(k)].data() + bucketOf(slot).offset;
}

int GradientSum::tagOf(const Slot& slot) const { return kFirstTag + (2 * slot.bucket + slot.isSummed) % kTags; }

void GradientSum::start(Mpi& mpi, Slot& slot) {
  const Bucket& bucket = bucketOf(slot);
  const int own = summands_[static_cast<size_t>(rank_)];
  slot.isSummed = false;
  if (bucket.pieces.size() > 1) {
    slot.flat.resize(static_cast<size_t>(bucket.count));
    float* to = slot.flat.data();
    for (const Bucket::Piece& piece : bucket.pieces) {
      if (own > 0) std::memcpy(to, dataOf(piece.tensor) + piece.at, static_cast<size_t>(piece.count) * 4);
      to += piece.count;
    }
  }
  float* const values = valuesOf(slot);
  if (addsHeld_) {
    const float* const held = held_[0].data() + bucket.offset;
    sumInOrder(values, std::array{held, static_cast<const float*>(values)}, bucket.count);
  }
  const int64_t mine = sliceOf(slot, rank_).count;
  int64_t others = 0;
  for (int from = 0; from < size_; from++)
    if (from != rank_) others += summands_[static_cast<size_t>(from)];
  slot.received.resize(static_cast<size_t>(std::max(static_cast<int64_t>(slot.received.size()), others * mine)));
  // In the order of ranks, as they are added; ranks begin with different partners, so that not all
  // of them send to one.
  for (int step = 1; step < size_; step++) {
    const int from = (rank_ + size_ - step) % size_, to = (rank_ + step) % size_;
    int64_t place = 0;
    for (int r = 0; r < from; r++)
      if (r != rank_) place += summands_[static_cast<size_t>(r)] * mine;
    for (int k = 0; k < summands_[static_cast<size_t>(from)]; k++)
      receive(mpi, slot.waited, slot.received.data() + place + k * mine, 4 * mine, from, tagOf(slot));
    const Slice& slice = sliceOf(slot, to);
    for (int k = 0; k < own; k++)
      send(mpi, slot.waited, summandOf(slot, k) + slice.begin, 4 * slice.count, to, tagOf(slot));
  }
}

/// Our slice of all summands, chunk by chunk: what was added is still in a cache for its norm.
void GradientSum::add(Slot& slot) {
  const Slice& mine = sliceOf(slot, rank_);
  std::vector<const float*> terms;
  const float* next = slot.received.data();
  for (int from = 0; from < size_; from++)
    for (int k = 0; k < summands_[static_cast<size_t>(from)]; k++) {
      terms.push_back(from == rank_ ? summandOf(slot, k) + mine.begin : next);
      if (from != rank_) next += mine.count;
    }
  float* const sum = valuesOf(slot) + mine.begin;
  if (!isDivided(bucketOf(slot))) {
    sumInOrder(sum, terms, mine.count);
    return;
  }
  double* norm =
      chunkNorms_.data() + firstNorm_[static_cast<size_t>(rank_)] + chunksBefore_[static_cast<size_t>(slot.bucket)];
  for (int64_t at = 0; at < mine.count; at += sizes_.chunk) {
    const int64_t count = std::min(sizes_.chunk, mine.count - at);
    sumInOrder(sum + at, terms, count);
    *norm++ = norm_(sum + at, count);
    for (const float*& term : terms) term += count;
  }
}

void GradientSum::sendSum(Mpi& mpi, Slot& slot) {
  float* const values = valuesOf(slot);
  const Slice& mine = sliceOf(slot, rank_);
  for (int step = 1; step < size_; step++) {
    const int from = (rank_ + size_ - step) % size_, to = (rank_ + step) % size_;
    const Slice& theirs = sliceOf(slot, from);
    receive(mpi, slot.waited, values + theirs.begin, 4 * theirs.count, from, tagOf(slot));
    send(mpi, slot.waited, values + mine.begin, 4 * mine.count, to, tagOf(slot));
  }
}

void GradientSum::finish(Slot& slot) {
  const Bucket& bucket = bucketOf(slot);
  if (bucket.pieces.size() > 1) {
    const float* from = slot.flat.data();
    for (const Bucket::Piece& piece : bucket.pieces) {
      std::memcpy(dataOf(piece.tensor) + piece.at, from, static_cast<size_t>(piece.count) * 4);
      from += piece.count;
    }
  }
  slot.bucket = -1;
  finishedBuckets_++;
}

void GradientSum::exchangeNorms(Mpi& mpi) {
  norms_ = Norms::underWay;
  const auto first = [&](int rank) { return chunkNorms_.data() + firstNorm_[static_cast<size_t>(rank)]; };
  const auto bytes = [&](int rank) { return 8 * (first(rank + 1) - first(rank)); };
  for (int step = 1; step < size_; step++) {
    const int from = (rank_ + size_ - step) % size_, to = (rank_ + step) % size_;
    receive(mpi, normsWaited_, first(from), bytes(from), from, kNormsTag);
    send(mpi, normsWaited_, first(rank_), bytes(rank_), to, kNormsTag);
  }
}

/// As op squaredNorm does: the chunks of a tensor in order, whoever had them.
void GradientSum::addUpNorms() {
  std::vector<size_t> next(firstNorm_.begin(), firstNorm_.end() - 1);
  tensorNorms_.assign(tensors_.size(), -1);
  for (size_t b = 0; b < buckets_.size(); b++) {
    if (!isDivided(buckets_[b])) continue;
    const Bucket::Piece& piece = buckets_[b].pieces[0];
    double& total = tensorNorms_[static_cast<size_t>(piece.tensor)];
    if (piece.at == 0) total = 0;
    for (size_t r = 0; r < next.size(); r++)
      for (int64_t at = 0; at < slices_[b][r].count; at += sizes_.chunk) total += chunkNorms_[next[r]++];
  }
}

std::vector<GradientSum::Range> GradientSum::ownRanges() const {
  std::vector<Range> ranges;
  for (size_t b = 0; b < buckets_.size(); b++) {
    if (!isDivided(buckets_[b])) continue;
    const Bucket::Piece& piece = buckets_[b].pieces[0];
    const Slice& mine = sliceOf(b, rank_);
    if (mine.count > 0) ranges.push_back({piece.tensor, piece.at + mine.begin, mine.count});
  }
  for (const Bucket& bucket : buckets_)
    if (!isDivided(bucket))
      for (const Bucket::Piece& piece : bucket.pieces) ranges.push_back({piece.tensor, piece.at, piece.count});
  return ranges;
}

bool GradientSum::isWaiting() const {
  return !normsWaited_.empty() ||
         std::any_of(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.bucket >= 0; });
}

std::vector<int> GradientSum::waitedFor() const {
  std::vector<int> ranks;
  for (const Slot& slot : slots_)
    if (slot.bucket >= 0)
      for (const Waited& one : slot.waited) ranks.push_back(one.rank);
  for (const Waited& one : normsWaited_) ranks.push_back(one.rank);
  return ranks;
}

void GradientSum::end() {
  if (!isStaged_) return;
  for (size_t t = 0; t < tensors_.size(); t++) tensors_[t].parameter->write(Parameter::Slot::gradient, data_[t]);
}

}  // namespace fl::mpi
