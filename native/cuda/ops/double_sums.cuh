// Sums of many terms in double: chunks of 65536 terms, one block each, then the chunks by one
// block; threads take every 256th term in order, and add up in a fixed tree. Users: loss.cu,
// optimizer.cu and optimizer_update.cu.
#pragma once

#include "cuda/ops/rows.cuh"

namespace fl::cuda {

using SumTeam = RowTeam<8, true>;
constexpr int64_t kSumChunk = 65536;

/// Sum of terms(begin) .. terms(end - 1), in every thread of the block.
template <class Terms>
__device__ inline double sumTerms(const Terms& terms, int64_t begin, int64_t end) {
  double sum = 0;
#pragma unroll 8
  for (int64_t i = begin + threadIdx.x; i < end; i += SumTeam::kThreads) sum += terms(i);
  return SumTeam::sum(sum);
}

/// Grid: chunks. partials: one double a chunk.
template <class Terms>
__global__ void __launch_bounds__(SumTeam::kThreads) sumChunks(const Terms terms, int64_t count, double* partials) {
  const int64_t begin = blockIdx.x * kSumChunk, end = begin + kSumChunk < count ? begin + kSumChunk : count;
  const double sum = sumTerms(terms, begin, end);
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

/// *out = factor * sum of the partials, as float or double. One block.
template <class Out>
__global__ void __launch_bounds__(SumTeam::kThreads)
    finishSum(const double* partials, int64_t chunks, double factor, Out* out) {
  const double sum = sumTerms([=](int64_t i) { return partials[i]; }, 0, chunks);
  if (threadIdx.x == 0) *out = static_cast<Out>(factor * sum);
}

/// *out = factor * sum of terms(i) for i < count; `terms` has a __device__ double
/// operator()(int64_t) const.
template <class Terms, class Out>
void sumInDouble(const char* op, const Terms& terms, int64_t count, double factor, Out* out) {
  const int64_t chunks = ceilDivide(count, kSumChunk);
  const Device::Scratch scratch = Device::instance().scratch(2 * chunks);
  auto* const partials = reinterpret_cast<double*>(scratch.data());
  if (chunks > 0) launch(op, sumChunks<Terms>, dim3(blocks(op, chunks)), SumTeam::kThreads, terms, count, partials);
  launch(op, finishSum<Out>, dim3(1), SumTeam::kThreads, partials, chunks, factor, out);
}

}  // namespace fl::cuda
