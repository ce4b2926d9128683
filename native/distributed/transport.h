// Bytes between the ranks of a run, by one communication thread that makes every call of MPI.
// Waiting ends when a rank says that it failed, or when nothing has come for a given time. What
// travels: src/distributed.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "distributed/collective.h"
#include "distributed/mpi.h"
#include "platform/threads.h"

namespace fl::mpi {

using Bytes = std::vector<char>;

/// One a process, where it is never destroyed: MPI can be started once, and is stopped by `leave`
/// or `abort`.
class Transport {
 public:
  /// Opens the library and starts MPI. Throws MPI_UNAVAILABLE.
  explicit Transport(const std::string& file);
  /// `open` gives the calls: it runs on the communication thread.
  explicit Transport(const std::function<std::unique_ptr<Mpi>()>& open);
  ~Transport();
  Transport(const Transport&) = delete;

  /// How long a wait keeps the core, looking again and again, and how long it sleeps between looks
  /// after that.
  struct Pace {
    std::chrono::microseconds spin, sleep;
  };

  int rank() const { return rank_; }
  int size() const { return size_; }
  const std::string& abi() const { return abi_; }
  const std::string& version() const { return version_; }

  /// Sends parts[r] to rank r, for all ranks, and gives what each rank sent here, our own part
  /// among it. All ranks call it in the same order. `lengths`: the bytes that will come from each
  /// rank, where they are known; else they are asked for first.
  /// Throws RANK_FAILED: with the words of a rank that failed, or when `seconds` pass without a
  /// byte.
  std::vector<Bytes> exchange(std::vector<Bytes> parts, const std::vector<int64_t>& lengths, double seconds);
  /// Does its part of a collective, whose pieces may still be made; returns when results are in
  /// place. All ranks call it in the same order. Throws as `exchange`, and what the collective was
  /// cancelled with.
  Collective::Report run(const std::shared_ptr<Collective>& collective, double seconds);
  /// Calls `work` on the communication thread, where it may call any of these, and returns at once.
  /// It must not throw.
  void submit(std::function<void()> work);
  /// Tells all others that this rank failed; what they wait for then ends with `message`. Gives
  /// what each rank has said by then: where all fail alike, one of them is enough to tell people.
  std::vector<std::string> tellFailure(const std::string& message);
  /// The same without waiting: nobody is there any more who would wait for this rank's part.
  void abandon(const std::string& message);
  /// Says good-bye to all, waits for theirs and stops MPI; false where one did not answer in time.
  bool leave(double seconds);
  void abort(int code);

 private:
  using Clock = std::chrono::steady_clock;
  /// Waits for its end and throws what it throws; on the communication thread itself it just calls.
  void onThread(const std::function<void()>& job);
  std::vector<std::string> tell(const std::string& message);
  void serve();
  void start(const std::function<std::unique_ptr<Mpi>()>& open);
  void post(const std::vector<Bytes>& parts, std::vector<Bytes>& received, int tag, std::vector<Waited>& waited);
  void wait(std::vector<Waited>& waited, double seconds);
  /// Throws where a rank failed, or this one gives up.
  void requireAll();
  /// A moment of a wait in which nothing has come since `last`. Throws as `exchange`, naming the
  /// ranks that are waited for.
  void pause(Clock::time_point last, const Pace& pace, double seconds,
             const std::function<std::vector<int>()>& waitedFor);
  /// What ranks said before they ended; a failure where it is one.
  void readNotices();
  /// Throws where something waits for one of these ranks, and it has ended. One that ended after
  /// its last exchange is no failure for those that still wait there for others; what it sent may
  /// come a moment after its notice.
  void requirePresent(const std::vector<int>& ranks);

  static constexpr size_t kNoticeBytes = 2048;
  struct Notice {
    Bytes text;
    Request request;
    bool read = false;
    /// When something waited for it, after that.
    std::optional<Clock::time_point> missedSince;
    std::string said;
  };

  std::unique_ptr<Mpi> mpi_;
  int rank_ = 0, size_ = 1;
  std::string abi_, version_;
  std::vector<Notice> notices_;
  bool anyLeft_ = false;
  /// MPI may read them to its end, where a rank does not take them.
  std::deque<Bytes> sentNotices_;
  std::optional<std::string> failure_;
  /// What MPI may still read or write after a failure: it must stay.
  std::vector<std::shared_ptr<Collective>> abandoned_;
  std::atomic<bool> stopped_{false};
  bool quit_ = false;
  bool hasTold_ = false;
  /// Set from another thread: whatever is waited for is given up.
  std::atomic<bool> giveUp_{false};

  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<std::function<void()>> jobs_;
  std::thread::id threadId_;
  std::unique_ptr<platform::Thread> thread_;
};

}  // namespace fl::mpi
