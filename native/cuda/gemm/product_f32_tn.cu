// The fp32 tiles of layout tn (product_f32.h): dy^T x.
// How a block makes one: product_tile_f32.cuh.
#include "cuda/gemm/layouts_f32.h"
#include "cuda/gemm/product_tile_f32.cuh"

namespace fl::cuda {

void runTn(const char* op, const Product& product) { launchProduct<Layout::tn>(op, product); }

}  // namespace fl::cuda
