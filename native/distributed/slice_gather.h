// What each rank has of divided tensors, to the others: the values that it stepped, while it steps
// the next, and for a checkpoint the optimizer's moments. Which of them are whose:
// gradient_sum.h; who waits for messages: transport.h.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "distributed/gradient_sum.h"

namespace fl::mpi {

class SliceGather final : public Collective {
 public:
  /// In the memory of `slot`, of the tensors that `sum` divides, once it has been made. `to`: the
  /// rank that gets them; -1: all. Pieces: 1 when the values will come, and 1 more for each of
  /// `sum->ownRanges()` that is there.
  SliceGather(std::shared_ptr<const GradientSum> sum, Parameter::Slot slot, int to = -1);

  /// In place of pieces, on all ranks alike: there are no new values.
  void skip();

  void begin(int rank, int size) override;
  bool advance(Mpi& mpi) override;
  bool isDone() const override { return isSkipped_ || finishedBuckets_ == buckets_.size(); }
  bool isWaiting() const override;
  std::vector<int> waitedFor() const override;

 private:
  /// A bucket of a divided tensor, and how many pieces have to be there before it leaves.
  struct Divided {
    size_t bucket;
    int after;
  };
  struct Slot {
    bool isBusy = false;
    std::vector<Waited> waited;
  };
  void opened() override { isSkipped_ = false; }
  void start(Mpi& mpi, size_t bucket, Slot& slot);

  /// Buckets under way together.
  static constexpr size_t kSlots = 4;

  const std::shared_ptr<const GradientSum> sum_;
  const Parameter::Slot what_;
  const int to_;
  int rank_ = 0, size_ = 1;
  std::vector<Divided> buckets_;
  /// Of each tensor, its values; null for those that are not divided.
  std::vector<float*> data_;
  std::array<Slot, kSlots> slots_;
  size_t nextBucket_ = 0, finishedBuckets_ = 0;
  std::atomic<bool> isSkipped_{false};
};

}  // namespace fl::mpi
