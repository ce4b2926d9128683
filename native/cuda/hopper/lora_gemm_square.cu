// The tile of 128 x 128, consumers in turns; u of up to 16 ranks in 16 more columns.
// What a block does: lora_gemm_tile.cuh.
#include "cuda/hopper/lora_gemm_tile.cuh"

namespace fl::cuda::hopper {

void runSquare(const char* op, const LoraGemm& gemm) {
  if (gemm.depthContiguous)
    runTile<true, TileName::square, 0, 16>(op, gemm);
  else
    runTile<false, TileName::square, 0>(op, gemm);
}

}  // namespace fl::cuda::hopper
