// Memory of the GPU.
#pragma once

#include "runtime/memory.h"

namespace fl::cuda {

/// cudaMalloc'ed and zeroed. Copies run on the device's stream, after the work that is there, and are done on return.
Memory& deviceMemory();

}  // namespace fl::cuda
