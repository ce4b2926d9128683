// One world of messages, a thread and a transport for each that takes part, and their exceptions.
// What tests are promised: on_ranks.h.
#include "test/on_ranks.h"

#include <string>
#include <thread>
#include <vector>

#include "test/memory_mpi.h"
#include "test/suite.h"

namespace fl::test {

void onRanks(int size, const std::function<void(int rank, mpi::Transport& transport)>& body) {
  MemoryWorld world(size);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; rank++)
    threads.emplace_back([&, rank] {
      mpi::Transport transport([&] { return world.rank(rank); });
      try {
        body(rank, transport);
      } catch (const std::exception& error) {
        check(false, "rank " + std::to_string(rank) + ": " + error.what());
      }
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace fl::test
