// What grid.cc, which runs a grid's threads, gives the files that stand in for instructions
// (tensor_core.cc, hopper.cc): barriers, and who is running.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fl::emulator {

/// A barrier of a group: how many of its threads have not returned, how many wait, and how often it
/// opened.
struct Barrier {
  int live = 0, waiting = 0;
  uint64_t opened = 0;

  /// Opens when everybody is there.
  void arriveOrLeave() {
    if (live == 0 || waiting < live) return;
    waiting = 0;
    opened++;
  }
};

/// The calling thread waits at a barrier that opens when all have arrived; until one opens again
/// that others open.
void waitAt(Barrier& barrier);
void waitUntilOpened(Barrier& barrier);

/// Of the calling thread: its block within the cluster, and its number among the cluster's threads.
int currentBlock();
unsigned currentThread();
int blocksOfCluster();
/// All of the cluster's threads, and those of a block with a number of their own below 32.
Barrier& barrierOfCluster();
Barrier& barrierWithNumber(int id);
char* sharedMemoryOf(int block);
/// What a block may have at most.
constexpr size_t kMostShared = size_t{227} << 10;

/// Called by grid.cc: before a cluster runs, and when a thread returns (false: it left work
/// behind).
void beginCluster();
bool hopperWorkIsDone();

}  // namespace fl::emulator
