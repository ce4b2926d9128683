// Sums of floats in a fixed order, which all ranks get to the bit. Which terms, and where they come
// from: gradient_sum.h.
#pragma once

#include <cstdint>
#include <span>

namespace fl::mpi {

/// out[i] = ((terms[0][i] + terms[1][i]) + terms[2][i]) + ..., each sum rounded to fp32; 0 without
/// terms. `out` may be one of the terms; none may overlap it in another way.
void sumInOrder(float* out, std::span<const float* const> terms, int64_t count);

}  // namespace fl::mpi
