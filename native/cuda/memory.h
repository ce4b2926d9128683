// Memory of the GPU.
#pragma once

#include "runtime/memory.h"

namespace fl::cuda {

/// cudaMalloc'ed and zeroed. Copies run on the device's stream, after the work that is there. Host memory is free to
/// change when `upload` returns, and filled when `download` returns.
Memory& deviceMemory();

}  // namespace fl::cuda
