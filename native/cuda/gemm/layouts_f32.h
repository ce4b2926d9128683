// The products of product_f32.h by layout, each compiled in a file of its own (product_f32_nt.cu
// and its like), since nvcc takes long for their tiles.
#pragma once

#include "cuda/gemm/product_f32.h"

namespace fl::cuda {

void runNt(const char* op, const Product& product);
void runNn(const char* op, const Product& product);
void runTn(const char* op, const Product& product);

}  // namespace fl::cuda
