// Ranks as threads of one process, each with a transport of its own: for tests of what ranks do
// together. Their messages: memory_mpi.h.
#pragma once

#include <functional>

#include "distributed/transport.h"

namespace fl::test {

/// Runs each rank on a thread of its own; what one throws is a failure of the test.
void onRanks(int size, const std::function<void(int rank, mpi::Transport& transport)>& body);

}  // namespace fl::test
