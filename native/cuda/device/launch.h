// Launching a kernel on the device's stream, with its error checked and its grid bounded.
// Kernels over elements and over rows have shorter ways: cuda/ops/elements.cuh, rows.cuh.
#pragma once

#include <cstdint>
#include <limits>

#include "cuda/device/device.h"
#include "runtime/error.h"

namespace fl::cuda {

/// Blocks of a grid's x dimension; throws INVALID_SHAPE when there are more than a grid can have.
inline unsigned blocks(const char* op, int64_t count) {
  if (count > std::numeric_limits<int32_t>::max())
    fail("INVALID_SHAPE", std::string(op) + ": too large for one launch on a GPU; use smaller batches");
  return static_cast<unsigned>(count);
}

/// Blocks of a grid's y and z dimensions, of which there may be far fewer.
inline unsigned blocksDown(const char* op, int64_t count) {
  if (count > std::numeric_limits<uint16_t>::max())
    fail("INVALID_SHAPE", std::string(op) + ": its rank or number of heads is too large for a GPU; use device 'cpu'");
  return static_cast<unsigned>(count);
}

/// Runs kernel(arguments...) on the device's stream. `op` is named in errors. Faults of the kernel
/// itself show when the stream is waited for.
template <class... Parameters, class... Arguments>
void launchAs(const char* op, void (*kernel)(Parameters...), cudaLaunchConfig_t config, const Arguments&... arguments) {
  constexpr size_t kWithoutAsking = size_t{48} << 10;
  requireHealthy();
  const size_t shared = config.dynamicSmemBytes;
  if (shared > kWithoutAsking)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)), op);
  config.stream = Device::instance().stream();
  Device::instance().noteLaunch();
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), op);
}

/// With this many bytes of dynamicShared() (shared.cuh).
template <class... Parameters, class... Arguments>
void launchShared(const char* op, void (*kernel)(Parameters...), dim3 grid, int threads, size_t sharedBytes,
                  const Arguments&... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = sharedBytes;
  launchAs(op, kernel, config, arguments...);
}

/// The same in clusters of `cluster` blocks (compute capability 9.0).
template <class... Parameters, class... Arguments>
void launchClusters(const char* op, void (*kernel)(Parameters...), dim3 grid, int threads, size_t sharedBytes,
                    int cluster, const Arguments&... arguments) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim.x = static_cast<unsigned>(cluster);
  attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = sharedBytes;
  config.attrs = &attribute;
  config.numAttrs = 1;
  launchAs(op, kernel, config, arguments...);
}

template <class... Parameters, class... Arguments>
void launch(const char* op, void (*kernel)(Parameters...), dim3 grid, int threads, const Arguments&... arguments) {
  launchShared(op, kernel, grid, threads, 0, arguments...);
}

}  // namespace fl::cuda
