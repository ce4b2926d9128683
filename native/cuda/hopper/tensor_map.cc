// Tensor maps by the driver's cuTensorMapEncodeTiled, found at run time; in the emulator plain
// words. tensor_map.h says what a map describes.
#include "cuda/hopper/tensor_map.h"

#include <cuda_runtime.h>

#include <string>

#include "cuda/device/errors.h"
#include "runtime/error.h"

#if !defined(FUSED_LORA_EMULATED)
#include <cuda.h>
#endif

namespace fl::cuda::hopper {
namespace {

#if defined(FUSED_LORA_EMULATED)

bool encodeTiled(TensorMap& map, const MatrixBoxes& m) {
  map.words[0] = reinterpret_cast<uint64_t>(m.data);
  map.words[1] = static_cast<uint64_t>(m.rows);
  map.words[2] = static_cast<uint64_t>(m.cols);
  map.words[3] = static_cast<uint64_t>(m.boxRows);
  map.words[4] = static_cast<uint64_t>(m.boxCols);
  map.words[5] = static_cast<uint64_t>(bytesOf(m.element));
  return true;
}

#else

static_assert(sizeof(TensorMap) == sizeof(CUtensorMap) && alignof(TensorMap) >= alignof(CUtensorMap));

using Encoder = decltype(&cuTensorMapEncodeTiled);

Encoder findEncoder() {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
#if CUDART_VERSION >= 12050
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &result);
#else
  const cudaError_t error = cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &found, cudaEnableDefault, &result);
#endif
  if (error != cudaSuccess || result != cudaDriverEntryPointSuccess) return nullptr;
  return reinterpret_cast<Encoder>(found);
}

bool encodeTiled(TensorMap& map, const MatrixBoxes& m) {
  static const Encoder encoder = findEncoder();
  if (!encoder) return false;
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(m.cols), static_cast<cuuint64_t>(m.rows)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(m.cols * bytesOf(m.element))};
  const cuuint32_t box[] = {static_cast<cuuint32_t>(m.boxCols), static_cast<cuuint32_t>(m.boxRows)};
  const cuuint32_t each[] = {1, 1};
  const auto type = m.element == Element::bf16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
  return encoder(reinterpret_cast<CUtensorMap*>(&map), type, 2, const_cast<void*>(m.data), sizes, strides, box, each,
                 CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                 CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

#endif

}  // namespace

TensorMap encode(const char* what, const MatrixBoxes& matrix) {
  if (const char* fault = faultOf(matrix))
    fail("INVALID_SHAPE", std::string(what) + " can not be read by the GPU's copy engine: " + fault);
  if (reinterpret_cast<uintptr_t>(matrix.data) % 16 != 0)
    fail("INVALID_SHAPE",
         std::string(what) + " can not be read by the GPU's copy engine: it does not begin on 16 bytes");
  TensorMap map{};
  if (!encodeTiled(map, matrix))
    fail("DEVICE_UNAVAILABLE", std::string(what) + ": this NVIDIA driver makes no tensor map of it; they need " +
                                   "driver 525 or newer and a GPU of compute capability 9.0");
  return map;
}

}  // namespace fl::cuda::hopper
