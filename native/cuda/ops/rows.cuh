// Ops on whole rows: a team of threads shares a row, each member has quads of four neighbouring
// features (one Philox call masks a quad, runtime/philox.h). Sums over a row run in a fixed tree.
#pragma once

#include "cuda/device/launch.h"
#include "cuda/gemm/selection.h"
#include "cuda/ops/mask.cuh"

namespace fl::cuda {

struct Quad {
  float v[4];
};

__device__ inline void addQuad(Quad& q, const Quad& other) {
#pragma unroll
  for (int j = 0; j < 4; j++) q.v[j] += other.v[j];
}

/// q times the mask of features first .. first + 3; `first` is a multiple of 4.
__device__ inline void maskQuad(const Mask& mask, int64_t row, int64_t first, Quad& q) {
  const auto token = static_cast<uint32_t>(mask.tokenIndex ? mask.tokenIndex[row] : row);
  const Philox4 words = mask.key.words(token, static_cast<uint32_t>(first >> 2));
#pragma unroll
  for (int j = 0; j < 4; j++) q.v[j] *= words.word[j] < mask.threshold ? 0.0f : mask.keepScale;
}

/// The threads that share a row: one warp (four rows a block), or a block of eight. `whole`: the
/// length of a row is a multiple of 4, so that rows begin on 16 bytes, as all tensors do
/// (runtime/memory.h).
template <int warps, bool whole>
struct RowTeam {
  static constexpr int kThreads = 32 * warps;
  static constexpr int kRowsPerBlock = warps == 1 ? 4 : 1;
  static constexpr int kBlock = kThreads * kRowsPerBlock;
  /// Blocks that a multiprocessor shall hold at least: without this ptxas aims at more and spills
  /// for it.
  static constexpr int kBlocksAtOnce = warps == 1 ? 1 : 2;
  /// Quads of a row that a member keeps in registers: 1024 features with one warp, 8192 with eight.
  static constexpr int kHeld = 8;

  /// Past the last row for some warps of the last block.
  __device__ static int64_t row() {
    return blockIdx.x * int64_t{kRowsPerBlock} + static_cast<int>(threadIdx.x) / kThreads;
  }
  __device__ static int member() { return static_cast<int>(threadIdx.x) % kThreads; }

  /// body(slot, first) for the member's quads: slots 0 .. kHeld - 1 are constants when unrolled, -1
  /// is a quad that does not fit.
  template <class Body>
  __device__ static void forQuads(int64_t cols, const Body& body) {
#pragma unroll
    for (int slot = 0; slot < kHeld; slot++) {
      const int64_t first = 4 * (member() + int64_t{slot} * kThreads);
      if (first < cols) body(slot, first);
    }
#pragma unroll 1
    for (int64_t first = 4 * (member() + int64_t{kHeld} * kThreads); first < cols; first += 4 * kThreads)
      body(-1, first);
  }

  /// Features first .. first + 3 of a row; what is past the end reads as 0.
  __device__ static Quad load(const float* row, int64_t first, int64_t cols) {
    Quad q;
    if constexpr (whole) {
      const float4 all = *reinterpret_cast<const float4*>(row + first);
      q = {{all.x, all.y, all.z, all.w}};
    } else {
#pragma unroll
      for (int j = 0; j < 4; j++) q.v[j] = first + j < cols ? row[first + j] : 0.0f;
    }
    return q;
  }

  __device__ static void store(float* row, int64_t first, int64_t cols, const Quad& q) {
    if constexpr (whole) {
      *reinterpret_cast<float4*>(row + first) = make_float4(q.v[0], q.v[1], q.v[2], q.v[3]);
    } else {
#pragma unroll
      for (int j = 0; j < 4; j++)
        if (first + j < cols) row[first + j] = q.v[j];
    }
  }

  /// The sum of all members' values, in every member: a tree of lanes, then the warps in order.
  template <class T>
  __device__ static T sum(T value) {
    return combine(value, [](T a, T b) { return a + b; });
  }
  /// NaN is ignored where another member has a number.
  __device__ static float maximum(float value) {
    return combine(value, [](float a, float b) { return fmaxf(a, b); });
  }

 private:
  template <class T, class Function>
  __device__ static T combine(T value, const Function& function) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
      value = function(value, __shfl_xor_sync(0xFFFFFFFFu, value, distance));
    if constexpr (warps > 1) {
      __shared__ T shared[warps];
      if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
      __syncthreads();
      value = shared[0];
#pragma unroll
      for (int warp = 1; warp < warps; warp++) value = function(value, shared[warp]);
      __syncthreads();  // all have read before the next one writes
    }
    return value;
  }
};

template <template <class> class Body, class Team, class Arguments>
__global__ void __launch_bounds__(Team::kBlock, Team::kBlocksAtOnce)
    rowKernel(const Arguments arguments, int64_t rows) {
  const int64_t row = Team::row();
  if (row < rows) Body<Team>::run(arguments, row);
}

template <template <class> class Body, class Team, class Arguments>
void launchTeams(const char* op, int64_t rows, const Arguments& arguments) {
  launch(op, rowKernel<Body, Team, Arguments>, dim3(blocks(op, ceilDivide(rows, Team::kRowsPerBlock))), Team::kBlock,
         arguments, rows);
}

/// Body<Team>::run(arguments, row) for every row, by the team that suits rows of `cols` features.
template <template <class> class Body, class Arguments>
void forRows(const char* op, int64_t rows, int64_t cols, const Arguments& arguments) {
  if (rows == 0 || cols == 0) return;
  const bool one = warpsPerRow(cols) == 1, whole = cols % 4 == 0;
  if (one && whole)
    launchTeams<Body, RowTeam<1, true>>(op, rows, arguments);
  else if (one)
    launchTeams<Body, RowTeam<1, false>>(op, rows, arguments);
  else if (whole)
    launchTeams<Body, RowTeam<8, true>>(op, rows, arguments);
  else
    launchTeams<Body, RowTeam<8, false>>(op, rows, arguments);
}

}  // namespace fl::cuda
