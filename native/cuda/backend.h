// The CUDA backend: fp32 on the first GPU that the driver shows (CUDA_VISIBLE_DEVICES chooses another).
#pragma once

#include "ops/backend.h"

namespace fl {

/// Throws DEVICE_UNAVAILABLE saying why: no driver, a driver too old, no GPU, a GPU that these kernels were not built
/// for, or a GPU that failed earlier in this process.
Backend& cudaBackend();

}  // namespace fl
