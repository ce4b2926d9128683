// The tiles of lora_gemm_sm90a.h, each in a file of its own; lora_gemm_sm90a.cc chooses among them.
// What a tile does: lora_gemm_tile.cuh.
#pragma once

#include "cuda/hopper/lora_gemm_sm90a.h"

namespace fl::cuda::hopper {

void runWide(const char* op, const LoraGemm& gemm);
/// Without extra columns, and with them.
void runBroad(const char* op, const LoraGemm& gemm);
void runBroadMakingU(const char* op, const LoraGemm& gemm);
void runSquare(const char* op, const LoraGemm& gemm);
void runSmall(const char* op, const LoraGemm& gemm);

}  // namespace fl::cuda::hopper
