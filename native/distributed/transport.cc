// The communication thread and its waits. Nothing is waited for inside of MPI: requests are tested,
// so that a wait can end, and a rank that waits leaves its core to others. The promises:
// transport.h; the calls: mpi.cc.
#include "distributed/transport.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <thread>

#include "runtime/error.h"

namespace fl::mpi {
namespace {

constexpr int kTagLengths = 1, kTagData = 2, kTagNotice = 3;
/// A message's count is an int; parts of this size also show that a large one goes on.
constexpr int64_t kMostBytes = int64_t{32} << 20;
constexpr auto kSleep = std::chrono::microseconds(50);
/// How long a rank that fails listens whether others fail too, and tries to be heard.
constexpr auto kHear = std::chrono::milliseconds(300), kTell = std::chrono::milliseconds(2000);
// How long what a rank sent may be later than its notice.
constexpr auto kLate = std::chrono::milliseconds(1000);

/// Answers of ranks that work in step come within the first of these times.
constexpr Transport::Pace kAnswers{std::chrono::microseconds(100), kSleep};
/// Gradients come in long messages, of which MPI copies parts at each look.
constexpr Transport::Pace kGradients{std::chrono::microseconds(2000), kSleep};
/// A core that computes is left alone: there is time until its end.
constexpr Transport::Pace kMeanwhile{std::chrono::microseconds(0), std::chrono::microseconds(200)};

/// Without those that are there twice.
std::string listOf(const std::vector<int>& ranks) {
  std::string text;
  for (size_t i = 0; i < ranks.size(); i++)
    if (std::find(ranks.begin(), ranks.begin() + static_cast<std::ptrdiff_t>(i), ranks[i]) ==
        ranks.begin() + static_cast<std::ptrdiff_t>(i))
      text += (text.empty() ? "" : ", ") + std::to_string(ranks[i]);
  return text;
}

}  // namespace

Transport::Transport(const std::string& file) : Transport([&] { return Mpi::open(file); }) {}

Transport::Transport(const std::function<std::unique_ptr<Mpi>()>& open) {
  thread_ = std::make_unique<platform::Thread>([this] { serve(); });
  try {
    onThread([&] { start(open); });
  } catch (...) {
    // What can not be had is told, and the thread goes.
    onThread([&] { quit_ = true; });
    throw;
  }
}

Transport::~Transport() {
  onThread([&] { quit_ = true; });
}

void Transport::start(const std::function<std::unique_ptr<Mpi>()>& open) {
  mpi_ = open();
  mpi_->start();
  rank_ = mpi_->rank();
  size_ = mpi_->size();
  abi_ = mpi_->abi();
  version_ = mpi_->version();
  notices_.resize(static_cast<size_t>(size_));
  for (int from = 0; from < size_; from++) {
    Notice& notice = notices_[static_cast<size_t>(from)];
    if (from == rank_) {
      notice.read = true;
      continue;
    }
    notice.text.resize(kNoticeBytes);
    notice.request = mpi_->receive(notice.text.data(), static_cast<int>(kNoticeBytes), from, kTagNotice);
  }
}

void Transport::serve() {
  {
    const std::lock_guard lock(mutex_);
    threadId_ = std::this_thread::get_id();
  }
  while (!quit_) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      work_.wait(lock, [&] { return !jobs_.empty(); });
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

void Transport::submit(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(work));
  }
  work_.notify_all();
}

void Transport::onThread(const std::function<void()>& job) {
  {
    std::unique_lock lock(mutex_);
    if (std::this_thread::get_id() == threadId_) {
      lock.unlock();
      job();
      return;
    }
  }
  std::mutex mutex;
  std::condition_variable ended;
  bool done = false;
  std::exception_ptr error;
  submit([&] {
    try {
      job();
    } catch (...) {
      error = std::current_exception();
    }
    // Under the lock: the one who waits may be gone as soon as it is free.
    const std::lock_guard lockDone(mutex);
    done = true;
    ended.notify_all();
  });
  std::unique_lock lock(mutex);
  ended.wait(lock, [&] { return done; });
  if (error) std::rethrow_exception(error);
}

void Transport::readNotices() {
  for (size_t from = 0; from < notices_.size(); from++) {
    Notice& notice = notices_[from];
    if (notice.read || !mpi_->isDone(notice.request)) continue;
    notice.read = true;
    notice.said = std::string(notice.text.data(), strnlen(notice.text.data(), notice.text.size()));
    if (!notice.said.empty())
      failure_ = notice.said;
    else
      anyLeft_ = true;
  }
}

void Transport::requirePresent(const std::vector<int>& ranks) {
  for (int rank : ranks) {
    Notice& notice = notices_[static_cast<size_t>(rank)];
    if (!notice.read || !notice.said.empty()) continue;
    notice.missedSince = notice.missedSince.value_or(Clock::now());
    if (Clock::now() - *notice.missedSince > kLate) {
      failure_ = "rank " + std::to_string(rank) + " has ended, while others go on";
      fail("RANK_FAILED", *failure_);
    }
  }
}

void Transport::requireAll() {
  readNotices();
  if (giveUp_) failure_ = failure_.value_or("this rank ends");
  if (failure_) fail("RANK_FAILED", *failure_);
}

void Transport::pause(Clock::time_point last, const Pace& pace, double seconds,
                      const std::function<std::vector<int>()>& waitedFor) {
  requireAll();
  if (anyLeft_) requirePresent(waitedFor());
  const auto passed = Clock::now() - last;
  if (passed < pace.spin) {
    std::this_thread::yield();
    return;
  }
  if (std::chrono::duration<double>(passed).count() > seconds) {
    failure_ = "rank " + listOf(waitedFor()) + " did not answer within " +
               std::to_string(static_cast<int64_t>(seconds)) + " s: it hangs, or its machine or network is gone";
    fail("RANK_FAILED", *failure_);
  }
  std::this_thread::sleep_for(pace.sleep);
}

void Transport::wait(std::vector<Waited>& waited, double seconds) {
  const auto ranks = [&] {
    std::vector<int> all;
    for (const Waited& one : waited) all.push_back(one.rank);
    return all;
  };
  auto last = Clock::now();
  while (!waited.empty()) {
    if (removeDone(*mpi_, waited))
      last = Clock::now();
    else
      pause(last, kAnswers, seconds, ranks);
  }
}

void Transport::post(const std::vector<Bytes>& parts, std::vector<Bytes>& received, int tag,
                     std::vector<Waited>& waited) {
  // Ranks begin with different partners, so that not all of them send to one.
  for (int step = 1; step < size_; step++) {
    const int from = (rank_ + size_ - step) % size_, to = (rank_ + step) % size_;
    Bytes& in = received[static_cast<size_t>(from)];
    for (int64_t at = 0, all = static_cast<int64_t>(in.size()); at < all; at += kMostBytes)
      waited.push_back(
          {mpi_->receive(in.data() + at, static_cast<int>(std::min(kMostBytes, all - at)), from, tag), from});
    const Bytes& out = parts[static_cast<size_t>(to)];
    for (int64_t at = 0, all = static_cast<int64_t>(out.size()); at < all; at += kMostBytes)
      waited.push_back({mpi_->send(out.data() + at, static_cast<int>(std::min(kMostBytes, all - at)), to, tag), to});
  }
}

std::vector<Bytes> Transport::exchange(std::vector<Bytes> parts, const std::vector<int64_t>& lengths, double seconds) {
  const auto size = static_cast<size_t>(size_);
  if (parts.size() != size || (!lengths.empty() && lengths.size() != size))
    fail("INVALID_ARGUMENT", "an exchange has one part for each of the " + std::to_string(size_) + " ranks");
  std::vector<Bytes> received(size);
  onThread([&] {
    if (stopped_) fail("DISPOSED", "MPI was stopped");
    if (failure_) fail("RANK_FAILED", *failure_);
    std::vector<Waited> waited;
    // What MPI still reads or writes after a failure must stay: it is given up with the process.
    auto* kept = new std::pair<std::vector<Bytes>, std::vector<Bytes>>(std::move(parts), size);
    auto& [out, in] = *kept;
    if (lengths.empty()) {
      auto* numbers = new std::pair<std::vector<Bytes>, std::vector<Bytes>>(size, std::vector<Bytes>(size, Bytes(8)));
      for (size_t to = 0; to < size; to++) {
        const auto length = static_cast<int64_t>(out[to].size());
        numbers->first[to].resize(8);
        std::memcpy(numbers->first[to].data(), &length, 8);
      }
      post(numbers->first, numbers->second, kTagLengths, waited);
      wait(waited, seconds);
      for (size_t from = 0; from < size; from++) {
        int64_t length = 0;
        if (from != static_cast<size_t>(rank_)) std::memcpy(&length, numbers->second[from].data(), 8);
        in[from].resize(static_cast<size_t>(length));
      }
      delete numbers;
    } else {
      for (size_t from = 0; from < size; from++)
        if (from != static_cast<size_t>(rank_)) in[from].resize(static_cast<size_t>(lengths[from]));
    }
    post(out, in, kTagData, waited);
    wait(waited, seconds);
    in[static_cast<size_t>(rank_)] = std::move(out[static_cast<size_t>(rank_)]);
    received = std::move(in);
    delete kept;
  });
  return received;
}

Collective::Report Transport::run(const std::shared_ptr<Collective>& collective, double seconds) {
  onThread([&] {
    if (stopped_) fail("DISPOSED", "MPI was stopped");
    if (failure_) fail("RANK_FAILED", *failure_);
    Collective& all = *collective;
    try {
      all.begin(rank_, size_);
      const auto ranks = [&] { return all.waitedFor(); };
      auto last = Clock::now();
      while (!all.isDone()) {
        const bool isComputing = all.isComputing();
        if (all.advance(*mpi_)) {
          last = Clock::now();
        } else if (!all.isWaiting()) {
          requireAll();
          all.waitForPieces();
          last = Clock::now();
        } else {
          pause(last, isComputing ? kMeanwhile : kGradients, seconds, ranks);
        }
      }
    } catch (const std::exception& error) {
      failure_ = failure_.value_or(error.what());
      abandoned_.push_back(collective);
      throw;
    }
  });
  collective->end();
  return collective->report();
}

std::vector<std::string> Transport::tell(const std::string& message) {
  std::vector<std::string> said(static_cast<size_t>(size_));
  if (stopped_) return said;
  hasTold_ = true;
  const Bytes& text = sentNotices_.emplace_back(kNoticeBytes, 0);
  std::memcpy(sentNotices_.back().data(), message.data(), std::min(message.size(), kNoticeBytes - 1));
  std::vector<Waited> waited;
  for (int to = 0; to < size_; to++)
    if (to != rank_) waited.push_back({mpi_->send(text.data(), static_cast<int>(kNoticeBytes), to, kTagNotice), to});
  // Who is gone takes nothing any more: what has not left by then is left behind.
  const auto start = Clock::now();
  for (auto passed = Clock::duration(); passed < kHear || (!waited.empty() && passed < kTell);
       passed = Clock::now() - start) {
    removeDone(*mpi_, waited);
    readNotices();
    std::this_thread::sleep_for(kSleep);
  }
  failure_ = failure_.value_or(message);
  for (size_t from = 0; from < said.size(); from++) said[from] = notices_[from].said;
  return said;
}

std::vector<std::string> Transport::tellFailure(const std::string& message) {
  std::vector<std::string> said;
  giveUp_ = true;
  onThread([&] { said = tell(message); });
  return said;
}

void Transport::abandon(const std::string& message) {
  if (stopped_ || size_ == 1) return;
  giveUp_ = true;
  submit([this, message] {
    try {
      if (!hasTold_) tell(message);
    } catch (const std::exception&) {
      // MPI itself fails: the others see that this rank is silent.
    }
  });
}

bool Transport::leave(double seconds) {
  bool all = true;
  onThread([&] {
    if (stopped_) return;
    const Bytes& text = sentNotices_.emplace_back(kNoticeBytes, 0);
    std::vector<Waited> waited;
    for (int to = 0; to < size_; to++)
      if (to != rank_) waited.push_back({mpi_->send(text.data(), static_cast<int>(kNoticeBytes), to, kTagNotice), to});
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    const auto missing = [&] {
      readNotices();
      for (Waited& one : waited)
        if (one.rank >= 0 && mpi_->isDone(one.request)) one.rank = -1;
      return std::any_of(waited.begin(), waited.end(), [](const Waited& one) { return one.rank >= 0; }) ||
             std::any_of(notices_.begin(), notices_.end(), [](const Notice& notice) { return !notice.read; });
    };
    while (missing()) {
      if (Clock::now() > end) {
        all = false;
        return;
      }
      std::this_thread::sleep_for(kSleep);
    }
    mpi_->stop();
    stopped_ = true;
  });
  return all;
}

void Transport::abort(int code) {
  giveUp_ = true;
  onThread([&] {
    if (!stopped_) mpi_->abort(code);
  });
}

}  // namespace fl::mpi
