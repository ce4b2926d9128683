// Steps as CUDA graphs: the launches of a step are recorded once (stream capture) and launched as
// one.
//
// A recording holds for exactly what it was made of: entry point, T, S, M, every pointer
// (RecordingKey). What changes from step to step besides is read from device memory (step_block.h).
// A batch of other sizes is recorded anew, which costs the host about what the launches would, and
// an executable graph of the same bucket is updated to it in place (cudaGraphExecUpdate); where
// that can not be (another number of launches), one is made anew. So every kernel runs with its
// exact sizes in every case.
//
// FUSED_LORA_CUDA_GRAPHS=off launches kernel by kernel instead, for comparison: the same kernels,
// the same bits.
#pragma once

#include <memory>

#include "ops/backend.h"

namespace fl::cuda {

bool graphsWanted();

/// Null where graphs are off.
std::unique_ptr<Recorder> makeRecorder();

}  // namespace fl::cuda
