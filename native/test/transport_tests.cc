// Ends of ranks as the others see them, over a world of messages in memory (on_ranks.h): one that
// ends in order, and one that is missed. Failures within a sum: gradient_sum_tests.cc.
#include <chrono>
#include <string>
#include <thread>

#include "runtime/error.h"
#include "test/on_ranks.h"
#include "test/suite.h"
#include "test/tests.h"

namespace fl::test {
namespace {

using mpi::Bytes;
using mpi::Transport;

/// Rank 2 has nothing more to wait for and ends, while rank 1 still waits for what rank 0 sends.
void aRankEndsAfterItsLastExchange() {
  onRanks(3, [](int rank, Transport& transport) {
    // Long enough for rank 1 to read that rank 2 has ended.
    if (rank == 0) std::this_thread::sleep_for(std::chrono::milliseconds(300));
    std::vector<Bytes> parts(3);
    if (rank != 1) parts[1] = {static_cast<char>('a' + rank)};
    const bool waits = rank == 1;
    const auto received = transport.exchange(std::move(parts), {waits ? 1 : 0, 0, waits ? 1 : 0}, 60);
    if (waits) check(received[0] == Bytes{'a'} && received[2] == Bytes{'c'}, "rank 1 received something else");
    check(transport.leave(60), "not all ranks said good-bye");
  });
}

/// Rank 1 waits for rank 0, which has ended: it does not wait for the 60 s.
void aRankThatHasEndedIsMissed() {
  onRanks(2, [](int rank, Transport& transport) {
    if (rank == 0) {
      transport.leave(10);
      return;
    }
    const auto began = std::chrono::steady_clock::now();
    try {
      transport.exchange({{}, {}}, {1, 0}, 60);
      check(false, "received something from a rank that sent nothing");
    } catch (const Error& error) {
      const std::string said = error.what();
      check(error.code() == "RANK_FAILED" && said == "rank 0 has ended, while others go on", said);
    }
    check(std::chrono::steady_clock::now() - began < std::chrono::seconds(10), "waited too long");
    transport.leave(10);
  });
}

}  // namespace

void addTransportTests(Suite& suite) {
  suite.add("transport/aRankEndsAfterItsLastExchange", aRankEndsAfterItsLastExchange);
  suite.add("transport/aRankThatHasEndedIsMissed", aRankThatHasEndedIsMissed);
}

}  // namespace fl::test
