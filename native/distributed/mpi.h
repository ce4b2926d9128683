// The calls that are made of an MPI library, whichever make it is: bytes between ranks, without
// waiting. Which library: src/distributed/find_mpi.ts; what is done with it: transport.h.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace fl::mpi {

/// A message under way.
struct alignas(8) Request {
  unsigned char handle[8];
};

/// One that is waited for, and the rank at its other end.
struct Waited {
  Request request;
  int rank;
};

/// All calls come from one thread. They throw fl::Error: MPI_UNAVAILABLE where the library is not
/// usable, RANK_FAILED for what MPI itself finds wrong while it runs.
class Mpi {
 public:
  /// Opens a library and sees which binary interface it has.
  static std::unique_ptr<Mpi> open(const std::string& file);
  virtual ~Mpi() = default;

  /// Name of the binary interface.
  virtual std::string abi() const = 0;
  /// What the library says of itself, its first line.
  virtual std::string version() const = 0;
  /// MPI_Init_thread, and a communicator of our own.
  virtual void start() = 0;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// `bytes` must stay in place until the request is done.
  virtual Request send(const void* bytes, int count, int to, int tag) = 0;
  virtual Request receive(void* bytes, int count, int from, int tag) = 0;
  virtual bool isDone(Request& request) = 0;
  virtual void stop() = 0;
  /// Ends the processes of all ranks.
  virtual void abort(int code) = 0;
};

/// Forgets those that have arrived; true where there were any.
inline bool removeDone(Mpi& mpi, std::vector<Waited>& waited) {
  return std::erase_if(waited, [&](Waited& one) { return mpi.isDone(one.request); }) > 0;
}

}  // namespace fl::mpi
