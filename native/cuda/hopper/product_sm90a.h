// The way from the bf16 products of ops (gemm/product_bf16.h) to lora_gemm_sm90a on compute
// capability 9.0: when it is taken, which tile, where u is made.
//
// Off unless FUSED_LORA_CUDA_PATH=sm90a: no GPU has run it (benchmarks/gpu-ledger.md).
#pragma once

#include "cuda/gemm/product_bf16.h"

namespace fl::cuda::hopper {

/// What FUSED_LORA_CUDA_PATH asks for: true for 'sm90a', false for 'portable' and where it is not
/// set. Throws INVALID_ARGUMENT for other values, and for 'sm90a' where the GPU's compute
/// capability is not 9.0.
bool wanted();

/// Whether products with results of `cols` columns go there.
/// @param masked a dropout mask lies between the two parts: those stay with the portable kernels.
inline bool takes(int64_t cols, bool masked) { return cols % 4 == 0 && !masked && wanted(); }

/// Layouts nt and nn, left operands rounded (FactorsBf16::rounded).
void run(const char* op, Layout layout, const ProductBf16& product);

}  // namespace fl::cuda::hopper
