// The sum of a program's gradients over all ranks, in place: each rank sums a slice of every
// bucket, in the order of ranks. Buckets leave as their gradients are finished. Which values are in
// which bucket: buckets.h; who waits for messages: transport.h.
//
//   summand  what a rank gives to the sum: the gradients of one of its shares. Those of the rank's
//            earlier shares are held here (`hold`), the last one is in the program's memory
//   result   in the program's memory: ((s0 + s1) + s2) + ... over the summands of rank 0, then
//            those of rank 1, ...
//
// The first rank that has summands adds its own before they travel: it has one. Others can not, as
// floats do not add in another order to the same bits.
//
// Each rank sends its slice of the sum to the others. Where the optimizer step is divided it keeps
// it: it steps those values, which others then get of it (slice_gather.h), and all ranks are told
// the squared norms of its chunks, so that they clip alike. Small tensors are never divided.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "distributed/buckets.h"
#include "distributed/collective.h"
#include "runtime/parameter.h"

namespace fl::mpi {

class GradientSum final : public Collective {
 public:
  struct Tensor {
    std::shared_ptr<Parameter> parameter;
    /// Last instruction of the program that reads or writes its gradient.
    int finishedAt;
  };
  /// Sum of the squares of a chunk of floats at most, to the bits of op squaredNorm.
  using ChunkNorm = double (*)(const float* values, int64_t count);

  /// Pieces of this collective are instructions of the program. `norm`: the optimizer step may be
  /// divided; it is where there are values enough.
  explicit GradientSum(std::vector<Tensor> tensors, const BucketSizes& sizes = {}, ChunkNorm norm = nullptr);

  /// Keeps the program's gradients as a summand. `add`: adds them to the one that is held, which is
  /// for the first rank that has any.
  void hold(bool add);
  /// Before `begin`: of each rank, how many summands it gives.
  void expect(const std::vector<int>& summands) { summands_ = summands; }

  void finished(int instructions) override;
  void finishedAll() override;

  void begin(int rank, int size) override;
  bool advance(Mpi& mpi) override;
  bool isDone() const override;
  bool isWaiting() const override;
  std::vector<int> waitedFor() const override;
  void end() override;

  /// Whether each rank steps a part of the tensors that are not small.
  bool isDivided() const { return norm_ != nullptr; }
  /// Whether it has been made at least once.
  bool isMade() const { return finishedBuckets_ > 0 && isDone(); }
  /// What a rank steps of a tensor.
  struct Range {
    int tensor;
    int64_t at, count;
  };
  /// After the sum: what this rank steps, in the order of buckets, and then the small tensors.
  std::vector<Range> ownRanges() const;
  /// After the sum: squared norm of a whole tensor; -1 for a small one, of which all ranks have the
  /// gradient.
  double squaredNorm(int tensor) const { return tensorNorms_[static_cast<size_t>(tensor)]; }

  const std::vector<Tensor>& tensors() const { return tensors_; }
  const std::vector<Bucket>& buckets() const { return buckets_; }
  const Slice& sliceOf(size_t bucket, int rank) const { return slices_[bucket][static_cast<size_t>(rank)]; }
  /// Of a rank that has one, after `begin`.
  int rank() const { return rank_; }
  int size() const { return size_; }

 private:
  /// A bucket under way. Each rank sends slices of its summands, then its slice of the sum.
  struct Slot {
    int bucket = -1;
    bool isSummed = false;
    /// The values of a bucket of several pieces, side by side.
    std::vector<float> flat;
    /// Our slice of the summands of other ranks.
    std::vector<float> received;
    std::vector<Waited> waited;
  };

  void opened() override { take(); }
  void take();
  void readStaged();
  void layOutNorms();
  void start(Mpi& mpi, Slot& slot);
  void add(Slot& slot);
  void sendSum(Mpi& mpi, Slot& slot);
  void finish(Slot& slot);
  void exchangeNorms(Mpi& mpi);
  void addUpNorms();
  float* dataOf(int tensor) { return data_[static_cast<size_t>(tensor)]; }
  const Bucket& bucketOf(const Slot& slot) const { return buckets_[static_cast<size_t>(slot.bucket)]; }
  const Slice& sliceOf(const Slot& slot, int rank) const { return sliceOf(static_cast<size_t>(slot.bucket), rank); }
  bool isDivided(const Bucket& bucket) const { return isDivided() && !bucket.isSmall; }
  float* valuesOf(Slot& slot);
  const float* summandOf(Slot& slot, int k);
  int tagOf(const Slot& slot) const;

  /// Buckets under way together, so that one travels while another is added.
  static constexpr size_t kSlots = 4;

  std::vector<Tensor> tensors_;
  BucketSizes sizes_;
  std::vector<Bucket> buckets_;
  /// Of each bucket, of each rank.
  std::vector<std::vector<Slice>> slices_;
  int64_t count_ = 0;
  /// Copies on the host, where the program's memory is elsewhere or of another type.
  bool isStaged_ = false;
  std::vector<float> staged_;
  std::vector<float*> data_;
  /// Summands in the order of buckets.
  std::vector<std::vector<float>> held_;
  int heldCount_ = 0;

  int rank_ = 0, size_ = 0;
  std::vector<int> summands_;
  bool addsHeld_ = false;
  std::array<Slot, kSlots> slots_;
  size_t nextBucket_ = 0, finishedBuckets_ = 0;

  /// Where the step is divided: squared norms of chunks, those of rank 0 in the order of buckets,
  /// then those of rank 1, ...
  ChunkNorm norm_ = nullptr;
  std::vector<double> chunkNorms_;
  /// Of each rank, where its own begin; of each bucket, how many chunks of this rank are before it.
  std::vector<size_t> firstNorm_, chunksBefore_;
  std::vector<double> tensorNorms_;
  enum class Norms : uint8_t { none, underWay, there } norms_ = Norms::none;
  std::vector<Waited> normsWaited_;
};

}  // namespace fl::mpi
