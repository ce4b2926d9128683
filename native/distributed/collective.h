// What all ranks do together, piece by piece, while another thread still makes the pieces: which of
// them are finished, that it was cancelled, what was sent. Sums of gradients: gradient_sum.h;
// values of which each rank has a part: slice_gather.h. Who calls MPI and waits: transport.h.
#pragma once

#include <atomic>
#include <climits>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "distributed/mpi.h"
#include "runtime/error.h"

namespace fl::mpi {

class Collective {
 public:
  virtual ~Collective() = default;

  /// Before the pieces are made, by whoever then calls these.
  void open();
  /// By the thread that makes them: so many are finished.
  virtual void finished(int pieces);
  /// All are, or there is nothing to wait for.
  virtual void finishedAll();
  /// It ends with this error: the pieces could not be made. The first one counts.
  void cancel(const Error& error);
  /// Calls `work` with what it shall call, and says how it ended. Throws what it throws.
  void following(const std::function<void(const std::function<void(int)>& finished)>& work);

  /// From here to `end` by the communication thread.
  virtual void begin(int rank, int size) = 0;
  /// Sends, receives and computes what can be; false where nothing could. Throws what `cancel` had.
  virtual bool advance(Mpi& mpi) = 0;
  virtual bool isDone() const = 0;
  /// Ranks of the messages under way.
  virtual std::vector<int> waitedFor() const = 0;
  /// Whether something is under way.
  virtual bool isWaiting() const = 0;
  /// Puts results where they belong.
  virtual void end() {}
  /// Whether pieces are still being made.
  bool isComputing() const { return finished_ != kAll; }
  /// Waits a little while for the thread that makes them.
  void waitForPieces();

  struct Report {
    int64_t sentBytes = 0;
    /// Buckets in all, and those that left while the thread was still computing.
    int buckets = 0, early = 0;
  };
  const Report& report() const { return report_; }

 protected:
  static constexpr int kAll = INT_MAX;

  void setFinished(int pieces);
  /// At `open`, before the first piece.
  virtual void opened() {}
  int finishedPieces() const { return finished_.load(std::memory_order_acquire); }
  void throwIfCancelled();
  void send(Mpi& mpi, std::vector<Waited>& waited, const void* bytes, int64_t count, int to, int tag);
  void receive(Mpi& mpi, std::vector<Waited>& waited, void* bytes, int64_t count, int from, int tag);

  Report report_;

 private:
  std::atomic<int> finished_{kAll};
  std::atomic<bool> isCancelled_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Error> error_;
};

}  // namespace fl::mpi
