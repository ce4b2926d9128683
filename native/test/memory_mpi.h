// MPI between threads of one process, for tests: a message is copied from the sender's memory to
// the receiver's when both are there. What is promised: distributed/mpi.h.
#pragma once

#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <tuple>
#include <vector>

#include "distributed/mpi.h"

namespace fl::test {

/// What the ranks of a run have between them.
class MemoryWorld {
 public:
  explicit MemoryWorld(int size) : size_(size) {}
  std::unique_ptr<mpi::Mpi> rank(int rank);
  int size() const { return size_; }

 private:
  friend class MemoryMpi;
  struct Message {
    int from, to, tag;
    const void* sent = nullptr;
    void* received = nullptr;
    int count = 0;
    bool isDone = false;
  };
  size_t post(bool isSend, const Message& message);
  bool isDone(size_t message);

  const int size_;
  std::mutex mutex_;
  /// By number; a send and its receive are one.
  std::deque<Message> messages_;
};

class MemoryMpi final : public mpi::Mpi {
 public:
  MemoryMpi(MemoryWorld& world, int rank) : world_(world), rank_(rank) {}
  std::string abi() const override { return "memory"; }
  std::string version() const override { return "memory"; }
  void start() override {}
  int rank() const override { return rank_; }
  int size() const override { return world_.size(); }
  mpi::Request send(const void* bytes, int count, int to, int tag) override {
    return requestOf(world_.post(true, {rank_, to, tag, bytes, nullptr, count}));
  }
  mpi::Request receive(void* bytes, int count, int from, int tag) override {
    return requestOf(world_.post(false, {from, rank_, tag, nullptr, bytes, count}));
  }
  bool isDone(mpi::Request& request) override {
    size_t message = 0;
    std::memcpy(&message, request.handle, sizeof message);
    return world_.isDone(message);
  }
  void stop() override {}
  void abort(int) override {}

 private:
  static mpi::Request requestOf(size_t message) {
    mpi::Request request{};
    static_assert(sizeof message <= sizeof request.handle);
    std::memcpy(request.handle, &message, sizeof message);
    return request;
  }

  MemoryWorld& world_;
  const int rank_;
};

}  // namespace fl::test
