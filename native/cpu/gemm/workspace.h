// Memory that an op needs while it runs, kept and grown between calls; one set for each thread that
// calls ops, so that programs in different threads do not meet in it. Scratch memory of a worker
// thread: runtime/thread_pool.h.
#pragma once

#include <cstdint>

#include "cpu/gemm/kernels.h"

namespace fl::cpu {

enum class WorkspaceSlot {
  leftPanels,
  rightPanels,
  adapterPanels,
  lowRank,
  lowRows,
  weightGradients,
  weightGradientLeft,
  transposed,
  maskedInput,
  weightPanels,
  kCount
};

/// At least `count` floats or words, 64-byte aligned, contents not kept. Valid until the slot is
/// asked for again in the same set.
float* workspace(WorkspaceSlot slot, int64_t count);
Word* wordWorkspace(WorkspaceSlot slot, int64_t count);

/// While it lives, the slots of this thread are those of another set: for ops that need the same
/// kind of memory for several adapters at once. Set 0 is that of all other ops.
class WorkspaceSet {
 public:
  explicit WorkspaceSet(int64_t set);
  ~WorkspaceSet();
  WorkspaceSet(const WorkspaceSet&) = delete;

 private:
  int64_t before_;
};

}  // namespace fl::cpu
