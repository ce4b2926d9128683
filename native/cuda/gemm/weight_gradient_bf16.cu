// Launches the partial sums of weight_gradient.h on tensor cores (weight_gradient_bf16.cuh) for
// rows that have no segments; weight_gradient.cu adds them.
#include "cuda/gemm/weight_gradient_bf16.cuh"

namespace fl::cuda {
namespace {

/// Grid: columns, ranks, pieces.
__global__ void __launch_bounds__(WeightGradientTile::kThreads)
    weightGradientPartialsBf16(const WeightGradient o, int64_t rowsEach, float* partials) {
  const int64_t begin = blockIdx.z * rowsEach, end = begin + rowsEach < o.rows ? begin + rowsEach : o.rows;
  storePieceBf16(o, blockIdx.x * int64_t{WeightGradientTile::kCols}, blockIdx.y * int64_t{WeightGradientTile::kRanks},
                 begin, end, partials + blockIdx.z * o.rank * o.cols);
}

}  // namespace

void launchPartialsBf16(const char* op, const WeightGradient& o, const RowSplit& split, float* partials) {
  const dim3 grid(blocks(op, ceilDivide(o.cols, WeightGradientTile::kCols)),
                  blocksDown(op, ceilDivide(o.rank, WeightGradientTile::kRanks)), blocksDown(op, split.count));
  launch(op, weightGradientPartialsBf16, grid, WeightGradientTile::kThreads, o, split.rows, partials);
}

}  // namespace fl::cuda
