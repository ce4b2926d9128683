// Messages of one process: the first of a kind that waits is matched, as in MPI.
// What they are for: memory_mpi.h.
#include "test/memory_mpi.h"

#include "test/suite.h"

namespace fl::test {

std::unique_ptr<mpi::Mpi> MemoryWorld::rank(int rank) { return std::make_unique<MemoryMpi>(*this, rank); }

size_t MemoryWorld::post(bool isSend, const Message& message) {
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < messages_.size(); i++) {
    Message& other = messages_[i];
    const bool waits = isSend ? !other.sent : !other.received;
    if (other.isDone || !waits ||
        std::tie(other.from, other.to, other.tag) != std::tie(message.from, message.to, message.tag))
      continue;
    if (other.count != message.count) check(false, "a message has another length than what it is received by");
    if (isSend)
      other.sent = message.sent;
    else
      other.received = message.received;
    std::memcpy(other.received, other.sent, static_cast<size_t>(other.count));
    other.isDone = true;
    return i;
  }
  messages_.push_back(message);
  return messages_.size() - 1;
}

bool MemoryWorld::isDone(size_t message) {
  const std::lock_guard lock(mutex_);
  return messages_[message].isDone;
}

}  // namespace fl::test
