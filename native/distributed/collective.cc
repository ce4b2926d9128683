// Pieces counted by one thread and seen by another, errors handed over, messages counted.
// The promises: collective.h.
#include "distributed/collective.h"

#include <chrono>
#include <exception>

namespace fl::mpi {

void Collective::open() {
  const std::lock_guard lock(mutex_);
  opened();
  error_.reset();
  isCancelled_ = false;
  finished_ = 0;
}

void Collective::setFinished(int pieces) {
  finished_.store(pieces, std::memory_order_release);
  changed_.notify_one();
}

void Collective::finished(int pieces) { setFinished(pieces); }

void Collective::finishedAll() { setFinished(kAll); }

void Collective::cancel(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (!error_) error_ = error;
  isCancelled_ = true;
  changed_.notify_one();
}

void Collective::throwIfCancelled() {
  if (!isCancelled_) return;
  const std::lock_guard lock(mutex_);
  throw *error_;
}

void Collective::following(const std::function<void(const std::function<void(int)>& finished)>& work) {
  try {
    work([this](int pieces) { finished(pieces); });
    finishedAll();
  } catch (const std::exception&) {
    cancel(currentError());
    throw;
  }
}

void Collective::waitForPieces() {
  std::unique_lock lock(mutex_);
  // What a notice between our look and this wait told is seen at its end.
  // By the system's clock: wait_for would take the steady one, for which libstdc++ asks glibc 2.30.
  changed_.wait_until(lock, std::chrono::system_clock::now() + std::chrono::milliseconds(1));
}

void Collective::send(Mpi& mpi, std::vector<Waited>& waited, const void* bytes, int64_t count, int to, int tag) {
  if (count == 0) return;
  waited.push_back({mpi.send(bytes, static_cast<int>(count), to, tag), to});
  report_.sentBytes += count;
}

void Collective::receive(Mpi& mpi, std::vector<Waited>& waited, void* bytes, int64_t count, int from, int tag) {
  if (count == 0) return;
  waited.push_back({mpi.receive(bytes, static_cast<int>(count), from, tag), from});
}

}  // namespace fl::mpi
