// The tile of 64 x 192 a consumer that makes u of up to 64 ranks in as many more columns; without:
// lora_gemm_broad.cu. What a block does: lora_gemm_tile.cuh.
#include "cuda/hopper/lora_gemm_tile.cuh"

namespace fl::cuda::hopper {

void runBroadMakingU(const char* op, const LoraGemm& gemm) { runTile<true, TileName::broad, 16, 32, 64>(op, gemm); }

}  // namespace fl::cuda::hopper
