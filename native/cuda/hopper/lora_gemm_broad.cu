// The tile of 64 x 192 a consumer, u from memory; made in the kernel: lora_gemm_broad_u.cu.
// What a block does: lora_gemm_tile.cuh.
#include "cuda/hopper/lora_gemm_tile.cuh"

namespace fl::cuda::hopper {

void runBroad(const char* op, const LoraGemm& gemm) {
  if (gemm.depthContiguous)
    runTile<true, TileName::broad, 0>(op, gemm);
  else
    runTile<false, TileName::broad, 0>(op, gemm);
}

}  // namespace fl::cuda::hopper
