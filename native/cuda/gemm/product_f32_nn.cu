// The fp32 tiles of layout nn (product_f32.h): dy W + mask * (v A).
// How a block makes one: product_tile_f32.cuh.
#include "cuda/gemm/layouts_f32.h"
#include "cuda/gemm/product_tile_f32.cuh"

namespace fl::cuda {

void runNn(const char* op, const Product& product) { launchProduct<Layout::nn>(op, product); }

}  // namespace fl::cuda
