// What can be made to go wrong: FUSED_LORA_EMULATOR_FAULT is a list of `name` or `name=number` with
// commas between. device.cc reads the list; grid.cc, memory.cc and stream.cc ask it.
//
//   noDriver             there is no driver
//   driver=V             the driver supports CUDA V (12040 is 12.4), too old for the runtime
//   noDevice             a driver, but no GPU
//   noKernels            kernels are launched and counted, not run: results are of any value
//   capability=N         a GPU of compute capability N / 10 (75 is 7.5)
//   noKernelImage        no kernel of this build runs on the GPU
//   memory=N             the GPU has N MiB in all (default 4096)
//   noPinned             no pinned memory can be had
//   failAtLaunch=N       the N-th kernel faults: that and every later call fails
//   noKernelMemory=N     there is no memory to load the N-th kernel that is launched
//   noInstantiate        there is no memory for executable graphs
#pragma once

#include <optional>
#include <string_view>

namespace fl::emulator {

/// The number given with `name` (0 where it has none); nothing where the fault is not asked for.
std::optional<long> fault(std::string_view name);

}  // namespace fl::emulator
