// The tile of 64 x 64, consumers in turns, for few rows; u of up to 16 ranks in 16 more columns.
// What a block does: lora_gemm_tile.cuh.
#include "cuda/hopper/lora_gemm_tile.cuh"

namespace fl::cuda::hopper {

void runSmall(const char* op, const LoraGemm& gemm) {
  if (gemm.depthContiguous)
    runTile<true, TileName::small, 0, 16>(op, gemm);
  else
    runTile<false, TileName::small, 0>(op, gemm);
}

}  // namespace fl::cuda::hopper
