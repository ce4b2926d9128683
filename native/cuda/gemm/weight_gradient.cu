// partial[s][i][c] = sum over the rows of piece s, in order, of p[row, i] mask(row, c) q[row, c]
// out[i, c] += partial[0][i][c] + partial[1][i][c] + ... What is summed: weight_gradient.h; on
// tensor cores: weight_gradient_bf16.cu.
//
// A thread has one column c and a handful of ranks: q is read once for all of them, neighbouring
// threads read neighbouring columns, and p comes through shared memory.
#include "cuda/device/launch.h"
#include "cuda/gemm/selection.h"
#include "cuda/gemm/weight_gradient.h"

namespace fl::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kRanks = 8;
constexpr int kRowsAtOnce = 32;

/// Grid: columns / kThreads, ranks / kRanks, pieces.
__global__ void __launch_bounds__(kThreads)
    weightGradientPartials(const WeightGradient o, int64_t rowsEach, float* partials) {
  __shared__ float sharedP[kRowsAtOnce][kRanks];
  const int64_t col = blockIdx.x * int64_t{kThreads} + threadIdx.x;
  const int64_t firstRank = blockIdx.y * int64_t{kRanks};
  const int64_t begin = blockIdx.z * rowsEach, end = begin + rowsEach < o.rows ? begin + rowsEach : o.rows;
  float sum[kRanks] = {};

  for (int64_t row0 = begin; row0 < end; row0 += kRowsAtOnce) {
    __syncthreads();  // the rows before have been read by all threads
    for (int e = static_cast<int>(threadIdx.x); e < kRowsAtOnce * kRanks; e += kThreads) {
      const int64_t row = row0 + e / kRanks, rank = firstRank + e % kRanks;
      sharedP[e / kRanks][e % kRanks] = row < end && rank < o.rank ? o.p[row * o.rank + rank] : 0.0f;
    }
    __syncthreads();
    if (col >= o.cols) continue;
    const int count = static_cast<int>(end - row0 < kRowsAtOnce ? end - row0 : kRowsAtOnce);
#pragma unroll 4
    for (int r = 0; r < count; r++) {
      float q = o.q[(row0 + r) * o.cols + col];
      if (o.mask.active) q *= maskAt(o.mask, row0 + r, col);
#pragma unroll
      for (int i = 0; i < kRanks; i++) sum[i] = fmaf(sharedP[r][i], q, sum[i]);
    }
  }
  if (col >= o.cols) return;
#pragma unroll
  for (int i = 0; i < kRanks; i++)
    if (firstRank + i < o.rank) partials[(blockIdx.z * o.rank + firstRank + i) * o.cols + col] = sum[i];
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
