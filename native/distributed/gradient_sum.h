// The sum of a program's gradients over all ranks, in place: each rank sums a slice of every
// bucket, in the order of ranks, and sends it on. Buckets leave as their gradients are finished.
// Which values are in which bucket: buckets.h; who waits for messages: transport.h.
//
//   summand  what a rank gives to the sum: the gradients of one of its shares. Those of the rank's
//            earlier shares are held here (`hold`), the last one is in the program's memory
//   result   in the program's memory, on all ranks the same bits: ((s0 + s1) + s2) + ... over the
//            summands of rank 0, then those of rank 1, ...
//
// The first rank that has summands adds its own before they travel: it has one. Others can not, as
// floats do not add in another order to the same bits.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "distributed/buckets.h"
#include "distributed/mpi.h"
#include "runtime/error.h"
#include "runtime/parameter.h"

namespace fl::mpi {

class GradientSum {
 public:
  struct Tensor {
    std::shared_ptr<Parameter> parameter;
    /// Last instruction of the program that reads or writes its gradient.
    int finishedAt;
  };
  explicit GradientSum(std::vector<Tensor> tensors, const BucketSizes& sizes = {});

  /// Keeps the program's gradients as a summand. `add`: adds them to the one that is held, which is
  /// for the first rank that has any.
  void hold(bool add);

  /// Before the last summand is computed, by whoever then calls these.
  void open();
  /// By the program's thread: so many instructions have run.
  void finished(int instructions);
  /// Everything has run, or there is nothing to wait for.
  void finishedAll();
  /// The program failed: the sum ends with this error. The first one counts.
  void cancel(const Error& error);
  /// Calls a run of the program with what it shall call, and says how it ended. Throws what it
  /// throws.
  void following(const std::function<void(const std::function<void(int)>& ran)>& run);

  /// From here to `end` by the communication thread. `summands`: of each rank.
  void begin(int rank, int size, const std::vector<int>& summands);
  /// Sends, receives and adds what can be; false where nothing could. Throws what `cancel` had.
  bool advance(Mpi& mpi);
  bool isDone() const { return finishedBuckets_ == buckets_.size(); }
  /// Whether messages are under way.
  bool isWaiting() const;
  /// Whether the program is still at it.
  bool isComputing() const { return finished_ != kAll; }
  /// Ranks of the messages under way.
  std::vector<int> waitedFor() const;
  /// Waits a little while for the program.
  void waitForProgram();
  /// Puts results where the program wants them.
  void end();

  struct Report {
    int64_t sentBytes = 0;
    /// Buckets in all, and those that left while the program was still computing.
    int buckets = 0, early = 0;
  };
  const Report& report() const { return report_; }

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
  struct Range {
    int64_t begin, count;
  };

  void take();
  void throwIfCancelled();
  void start(Mpi& mpi, Slot& slot);
  void sumAndSend(Mpi& mpi, Slot& slot);
  void finish(Slot& slot);
  float* dataOf(int tensor) { return data_[static_cast<size_t>(tensor)]; }
  const Bucket& bucketOf(const Slot& slot) const { return buckets_[static_cast<size_t>(slot.bucket)]; }
  float* valuesOf(Slot& slot);
  const float* summandOf(Slot& slot, int k);
  /// The values of a bucket that rank `rank` sums.
  Range sliceOf(const Bucket& bucket, int rank) const;
  int tagOf(const Slot& slot) const;
  void send(Mpi& mpi, Slot& slot, const float* values, int64_t count, int to);
  void receive(Mpi& mpi, Slot& slot, float* values, int64_t count, int from);

  static constexpr int kAll = INT32_MAX;
  /// Buckets under way together, so that one travels while another is added.
  static constexpr size_t kSlots = 4;

  std::vector<Tensor> tensors_;
  std::vector<Bucket> buckets_;
  int64_t count_ = 0;
  /// Copies on the host, where the program's memory is elsewhere or of another type.
  bool isStaged_ = false;
  std::vector<float> staged_;
  std::vector<float*> data_;
  /// Summands in the order of buckets.
  std::vector<std::vector<float>> held_;
  int heldCount_ = 0;

  int rank_ = 0, size_ = 1;
  std::vector<int> summands_;
  bool addsHeld_ = false;
  std::array<Slot, kSlots> slots_;
  size_t nextBucket_ = 0, finishedBuckets_ = 0;
  Report report_;

  std::atomic<int> finished_{kAll};
  std::atomic<bool> isCancelled_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Error> error_;
};

}  // namespace fl::mpi
