// A kernel that does nothing else than show that this GPU runs the code of this build.
// device.cc asks it when it opens the device.
#include "cuda/device/device.h"

namespace fl::cuda {
namespace {

constexpr int kAnswer = 42;

__global__ void answer(int* out) { *out = kAnswer; }

}  // namespace

cudaError_t runProbe(cudaStream_t stream) {
  int* out = nullptr;
  cudaError_t error = cudaMalloc(reinterpret_cast<void**>(&out), sizeof(int));
  if (error != cudaSuccess) return error;
  cudaLaunchConfig_t config{};
  config.gridDim = config.blockDim = dim3(1);
  config.stream = stream;
  int got = 0;
  error = cudaLaunchKernelEx(&config, answer, out);
  if (error == cudaSuccess) error = cudaMemcpyAsync(&got, out, sizeof(int), cudaMemcpyDeviceToHost, stream);
  if (error == cudaSuccess) error = cudaStreamSynchronize(stream);
  cudaFree(out);
  return error == cudaSuccess && got != kAnswer ? cudaErrorUnknown : error;
}

}  // namespace fl::cuda
