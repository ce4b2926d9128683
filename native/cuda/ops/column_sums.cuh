// Sums over the rows of a batch for each column: gradients of biases and of LayerNorm's gamma and
// beta. Users: layer_norm.cu and linear.cu.
//
// Chunks of 256 rows; a chunk is eight groups of 32 rows, each summed in order, then the groups in
// order, then the chunks in order. No atomics: the same bits every time, on every GPU.
#pragma once

#include "cuda/device/launch.h"
#include "cuda/gemm/selection.h"

namespace fl::cuda {

/// Where the sums are added to; null: not wanted.
template <int count>
struct ColumnOuts {
  float* out[count];
};

/// Terms::kSums sums a column; terms.add(row, col, sum) adds the row's terms to them. One chunk
/// alone is added to `outs`; of several there are partials.
template <class Terms>
__global__ void __launch_bounds__(ColumnBlock::kThreads)
    columnChunks(const Terms terms, int64_t rows, int64_t cols, const ColumnOuts<Terms::kSums> outs, float* partials) {
  constexpr int kSums = Terms::kSums;
  __shared__ float shared[ColumnBlock::kGroups][kSums][ColumnBlock::kCols];
  const ColumnBlock block = columnBlock(blockIdx.x, cols);
  const int across = static_cast<int>(threadIdx.x) % ColumnBlock::kCols;
  const int group = static_cast<int>(threadIdx.x) / ColumnBlock::kCols;
  const int64_t col = block.firstCol + across;
  const int64_t begin = block.chunk * ColumnBlock::kRows + group * ColumnBlock::kGroupRows;
  const int64_t end = begin + ColumnBlock::kGroupRows < rows ? begin + ColumnBlock::kGroupRows : rows;

  float sum[kSums] = {};
  if (col < cols) {
#pragma unroll 8
    for (int64_t row = begin; row < end; row++) terms.add(row, col, sum);
  }
#pragma unroll
  for (int k = 0; k < kSums; k++) shared[group][k][across] = sum[k];
  __syncthreads();
  if (group > 0 || col >= cols) return;
#pragma unroll
  for (int k = 0; k < kSums; k++) {
    float total = 0;
#pragma unroll
    for (int g = 0; g < ColumnBlock::kGroups; g++) total += shared[g][k][across];
    if (partials)
      partials[(block.chunk * kSums + k) * cols + col] = total;
    else if (outs.out[k])
      outs.out[k][col] += total;
  }
}

template <int sums>
__global__ void __launch_bounds__(ColumnBlock::kThreads)
    addColumnChunks(const float* partials, int64_t chunks, int64_t cols, const ColumnOuts<sums> outs) {
  const int64_t col = blockIdx.x * int64_t{ColumnBlock::kThreads} + threadIdx.x;
  if (col >= cols) return;
#pragma unroll
  for (int k = 0; k < sums; k++) {
    if (outs.out[k] == nullptr) continue;
    float total = 0;
#pragma unroll 8
    for (int64_t chunk = 0; chunk < chunks; chunk++) total += partials[(chunk * sums + k) * cols + col];
    outs.out[k][col] += total;
  }
}

/// outs.out[k][col] += sum over the rows of term k.
template <class Terms>
void addColumnSums(const char* op, const Terms& terms, int64_t rows, int64_t cols,
                   const ColumnOuts<Terms::kSums>& outs) {
  if (rows == 0 || cols == 0) return;
  const int64_t chunks = ceilDivide(rows, ColumnBlock::kRows);
  const dim3 grid(blocks(op, columnBlockCount(rows, cols)));
  if (chunks == 1)
    return launch(op, columnChunks<Terms>, grid, ColumnBlock::kThreads, terms, rows, cols, outs,
                  static_cast<float*>(nullptr));
  const Device::Scratch partials = Device::instance().scratch(chunks * Terms::kSums * cols);
  launch(op, columnChunks<Terms>, grid, ColumnBlock::kThreads, terms, rows, cols, outs, partials.data());
  launch(op, addColumnChunks<Terms::kSums>, dim3(blocks(op, ceilDivide(cols, ColumnBlock::kThreads))),
         ColumnBlock::kThreads, partials.data(), chunks, cols, outs);
}

}  // namespace fl::cuda
