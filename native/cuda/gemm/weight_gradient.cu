// partial[s][i][c] = sum over the rows of piece s, in order, of p[row, i] mask(row, c) q[row, c]
// out[i, c] += partial[0][i][c] + partial[1][i][c] + ... What is summed: weight_gradient.h; on
// tensor cores: weight_gradient_bf16.cu, and in one launch for few rows grouped_bf16.cu.
#include "cuda/device/launch.h"
#include "cuda/gemm/grouped_bf16.h"
#include "cuda/gemm/selection.h"
#include "cuda/gemm/weight_gradient_f32.cuh"

namespace fl::cuda {
namespace {

constexpr int kThreads = WeightGradientBlockF32::kThreads;
constexpr int kRanks = WeightGradientBlockF32::kRanks;

/// Grid: columns / kThreads, ranks / kRanks, pieces.
__global__ void __launch_bounds__(kThreads)
    weightGradientPartials(const WeightGradient o, int64_t rowsEach, float* partials) {
  const int64_t begin = blockIdx.z * rowsEach, end = begin + rowsEach < o.rows ? begin + rowsEach : o.rows;
  sumPiece(o, blockIdx.x * int64_t{kThreads}, blockIdx.y * int64_t{kRanks}, begin, end,
           partials + blockIdx.z * o.rank * o.cols);
}

/// One thread an element (i, c); writes out[i, c], or out[c, i] when transposed.
__global__ void __launch_bounds__(kThreads)
    addPartials(const float* partials, int pieces, int64_t rank, int64_t cols, bool transposed, float* out) {
  const int64_t e = blockIdx.x * int64_t{kThreads} + threadIdx.x;
  if (e >= rank * cols) return;
  float sum = 0;
  for (int s = 0; s < pieces; s++) sum += partials[s * rank * cols + e];
  out[transposed ? e % cols * rank + e / cols : e] += sum;
}

}  // namespace

int64_t partialCount(const WeightGradient& sum) { return splitRows(sum.rows).count * sum.rank * sum.cols; }

void run(const char* op, const WeightGradient& o, float* partials) {
  if (o.rows == 0 || o.rank == 0 || o.cols == 0) return;
  const RowSplit split = splitRows(o.rows);
  if (o.precision == Precision::bf16 && o.rows <= kMostRowsAtOnce) {
    GroupBf16 group;
    group.gradients = 1;
    group.gradient[0] = o;
    return run(op, Layout::nn, group);
  }
  if (o.precision == Precision::bf16) {
    launchPartialsBf16(op, o, split, partials);
  } else {
    const dim3 grid(blocks(op, ceilDivide(o.cols, kThreads)), blocksDown(op, ceilDivide(o.rank, kRanks)),
                    blocksDown(op, split.count));
    launch(op, weightGradientPartials, grid, kThreads, o, split.rows, partials);
  }
  launch(op, addPartials, dim3(blocks(op, ceilDivide(o.rank * o.cols, kThreads))), kThreads, partials, split.count,
         o.rank, o.cols, o.transposed, o.out);
}

}  // namespace fl::cuda
