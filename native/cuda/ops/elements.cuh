// Kernels of elementwise ops: one thread an element, a function object for what it does.
// Ops whose rows belong together use rows.cuh.
#pragma once

#include "cuda/device/launch.h"
#include "cuda/gemm/selection.h"

namespace fl::cuda {

constexpr int kElementThreads = 256;

template <class Function>
__global__ void __launch_bounds__(kElementThreads) elementKernel(const Function function, int64_t count) {
  const int64_t i = blockIdx.x * int64_t{kElementThreads} + threadIdx.x;
  if (i < count) function(i);
}

/// function(i) for every i < count, in any order; `function` has a __device__ operator()(int64_t)
/// const.
template <class Function>
void forElements(const char* op, int64_t count, const Function& function) {
  if (count == 0) return;
  launch(op, elementKernel<Function>, dim3(blocks(op, ceilDivide(count, kElementThreads))), kElementThreads, function,
         count);
}

}  // namespace fl::cuda
