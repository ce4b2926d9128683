// Buckets on their way: slices of summands out and in, the sum, the sum's slices out and in. Which
// of them there are, and the order of a sum: gradient_sum.h.
#include "distributed/gradient_sum.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>

#include "distributed/ordered_sum.h"

namespace fl::mpi {
namespace {

/// Above those of transport.cc. MPI promises tags up to 32767.
constexpr int kFirstTag = 16, kTags = 8192;

}  // namespace

GradientSum::GradientSum(std::vector<Tensor> tensors, const BucketSizes& sizes) : tensors_(std::move(tensors)) {
  std::vector<GradientExtent> extents;
  for (const Tensor& tensor : tensors_) {
    const Parameter& parameter = *tensor.parameter;
    extents.push_back({parameter.count(), tensor.finishedAt});
    count_ += parameter.count();
    if (&parameter.memory() != &hostMemory() || parameter.dtype() != DType::f32) isStaged_ = true;
  }
  buckets_ = layOutBuckets(extents, sizes);
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

void GradientSum::hold(bool add) {
  take();
  if (isStaged_)
    for (size_t t = 0; t < tensors_.size(); t++) tensors_[t].parameter->read(Parameter::Slot::gradient, data_[t]);
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

void GradientSum::open() {
  const std::lock_guard lock(mutex_);
  take();
  error_.reset();
  isCancelled_ = false;
  finished_ = 0;
}

void GradientSum::finished(int instructions) {
  // On another device they may only have been launched.
  if (isStaged_) return;
  finished_.store(instructions, std::memory_order_release);
  changed_.notify_one();
}

void GradientSum::finishedAll() {
  if (isStaged_)
    for (size_t t = 0; t < tensors_.size(); t++) tensors_[t].parameter->read(Parameter::Slot::gradient, data_[t]);
  finished_.store(kAll, std::memory_order_release);
  changed_.notify_one();
}

void GradientSum::cancel(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (!error_) error_ = error;
  isCancelled_ = true;
  changed_.notify_one();
}

void GradientSum::throwIfCancelled() {
  if (!isCancelled_) return;
  const std::lock_guard lock(mutex_);
  throw *error_;
}

void GradientSum::following(const std::function<void(const std::function<void(int)>& ran)>& run) {
  try {
    run([this](int instructions) { finished(instructions); });
    finishedAll();
  } catch (const Error& error) {
    cancel(error);
    throw;
  } catch (const std::bad_alloc&) {
    cancel(Error("OUT_OF_MEMORY", "not enough memory"));
    throw;
  } catch (const std::exception& error) {
    cancel(Error("INTERNAL", error.what()));
    throw;
  }
}

void GradientSum::waitForProgram() {
  std::unique_lock lock(mutex_);
  // What a notice between our look and this wait told is seen at its end.
  changed_.wait_for(lock, std::chrono::milliseconds(1));
}

void GradientSum::begin(int rank, int size, const std::vector<int>& summands) {
  if (summands.size() != static_cast<size_t>(size))
    fail("INVALID_ARGUMENT", "a sum has a number of summands for each of the " + std::to_string(size) + " ranks");
  const int own = summands[static_cast<size_t>(rank)];
  addsHeld_ = own == 1 && heldCount_ == 1;
  if (!addsHeld_ && heldCount_ != std::max(0, own - 1))
    fail("INTERNAL",
         "a rank of " + std::to_string(own) + " summands holds " + std::to_string(heldCount_) + " of its own");
  heldCount_ = 0;
  rank_ = rank;
  size_ = size;
  summands_ = summands;
  for (Slot& slot : slots_) slot.bucket = -1;
  nextBucket_ = finishedBuckets_ = 0;
  report_ = {0, static_cast<int>(buckets_.size()), 0};
}

bool GradientSum::advance(Mpi& mpi) {
  throwIfCancelled();
  bool moved = false;
  const int finished = finished_.load(std::memory_order_acquire);
  for (Slot& slot : slots_) {
    if (slot.bucket < 0) {
      if (nextBucket_ == buckets_.size() || buckets_[nextBucket_].finishedAt >= finished) continue;
      slot.bucket = static_cast<int>(nextBucket_++);
      if (finished != kAll) report_.early++;
      start(mpi, slot);
      moved = true;
    }
    const size_t before = slot.waited.size();
    slot.waited.erase(
        std::remove_if(slot.waited.begin(), slot.waited.end(), [&](Waited& one) { return mpi.isDone(one.request); }),
        slot.waited.end());
    moved = moved || slot.waited.size() < before;
    if (!slot.waited.empty()) continue;
    moved = true;
    if (slot.isSummed)
      finish(slot);
    else
      sumAndSend(mpi, slot);
  }
  return moved;
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

GradientSum::Range GradientSum::sliceOf(const Bucket& bucket, int rank) const {
  const int64_t begin = rank * bucket.count / size_, end = (rank + 1) * bucket.count / size_;
  return {begin, end - begin};
}

int GradientSum::tagOf(const Slot& slot) const { return kFirstTag + (2 * slot.bucket + slot.isSummed) % kTags; }

void GradientSum::send(Mpi& mpi, Slot& slot, const float* values, int64_t count, int to) {
  if (count == 0) return;
  slot.waited.push_back({mpi.send(values, static_cast<int>(4 * count), to, tagOf(slot)), to});
  report_.sentBytes += 4 * count;
}

void GradientSum::receive(Mpi& mpi, Slot& slot, float* values, int64_t count, int from) {
  if (count == 0) return;
  slot.waited.push_back({mpi.receive(values, static_cast<int>(4 * count), from, tagOf(slot)), from});
}

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
  const int64_t mine = sliceOf(bucket, rank_).count;
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
      receive(mpi, slot, slot.received.data() + place + k * mine, mine, from);
    const Range slice = sliceOf(bucket, to);
    for (int k = 0; k < own; k++) send(mpi, slot, summandOf(slot, k) + slice.begin, slice.count, to);
  }
}

void GradientSum::sumAndSend(Mpi& mpi, Slot& slot) {
  const Bucket& bucket = bucketOf(slot);
  const Range mine = sliceOf(bucket, rank_);
  std::vector<const float*> terms;
  const float* next = slot.received.data();
  for (int from = 0; from < size_; from++)
    for (int k = 0; k < summands_[static_cast<size_t>(from)]; k++) {
      terms.push_back(from == rank_ ? summandOf(slot, k) + mine.begin : next);
      if (from != rank_) next += mine.count;
    }
  float* const values = valuesOf(slot);
  sumInOrder(values + mine.begin, terms, mine.count);
  slot.isSummed = true;
  for (int step = 1; step < size_; step++) {
    const int from = (rank_ + size_ - step) % size_, to = (rank_ + step) % size_;
    const Range theirs = sliceOf(bucket, from);
    receive(mpi, slot, values + theirs.begin, theirs.count, from);
    send(mpi, slot, values + mine.begin, mine.count, to);
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

bool GradientSum::isWaiting() const {
  return std::any_of(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.bucket >= 0; });
}

std::vector<int> GradientSum::waitedFor() const {
  std::vector<int> ranks;
  for (const Slot& slot : slots_)
    if (slot.bucket >= 0)
      for (const Waited& one : slot.waited) ranks.push_back(one.rank);
  return ranks;
}

void GradientSum::end() {
  if (!isStaged_) return;
  for (size_t t = 0; t < tensors_.size(); t++) tensors_[t].parameter->write(Parameter::Slot::gradient, data_[t]);
}

}  // namespace fl::mpi
