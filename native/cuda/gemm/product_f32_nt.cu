// The fp32 tiles of layout nt (product_f32.h): x W^T + u B^T.
// How a block makes one: product_tile_f32.cuh.
#include "cuda/gemm/layouts_f32.h"
#include "cuda/gemm/product_tile_f32.cuh"

namespace fl::cuda {

void runNt(const char* op, const Product& product) { launchProduct<Layout::nt>(op, product); }

}  // namespace fl::cuda
