// The tile of 64 x 256 a consumer, for long rows; u comes from memory.
// What a block does: lora_gemm_tile.cuh.
#include "cuda/hopper/lora_gemm_tile.cuh"

namespace fl::cuda::hopper {

void runWide(const char* op, const LoraGemm& gemm) {
  if (gemm.depthContiguous)
    runTile<true, TileName::wide, 0>(op, gemm);
  else
    runTile<false, TileName::wide, 0>(op, gemm);
}

}  // namespace fl::cuda::hopper
