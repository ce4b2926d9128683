// A tile of C[m, n] = sum_k a[m, k] b[k, n] + sum_i a'[m, i] b'[i, n] in fp32, as a block makes it;
// operands and layouts are described in product_f32.h, bf16 is product_tile_bf16.cuh's.
//
// A block holds a tile of C in registers and walks along the depth: a slab of each operand (a:
// depth x rows, b: depth x cols of the tile) goes from memory through registers to shared memory;
// while one slab is multiplied, the next is under way. One fused multiply-add an element and step,
// in the order of k, then of i; with a mask, i comes first, since the mask lies between the two.
// What is outside of an operand counts as zero and is not stored.
//
// A file for each layout includes this (product_f32_nt.cu and its like): nvcc takes long for each.
#pragma once

#include <type_traits>

#include "cuda/device/launch.h"
#include "cuda/gemm/product_f32.h"
#include "cuda/gemm/selection.h"
#include "cuda/ops/activation.cuh"

namespace fl::cuda {
/// Four floats more a row of shared memory: rows stay 16-byte aligned and start on different banks.
constexpr int kPadding = 4;

/// One thread's part of a slab, between memory and shared memory.
template <bool depthContiguous, int span, int depth, int threads>
struct Slab {
  static constexpr int kEach = span * depth / threads;
  static_assert(kEach * threads == span * depth);
  float value[kEach];

  /// source: [width, total] where the depth is contiguous, else [total, width], floats or what
  /// gives them by their place; the slab begins at (from, k0).
  template <class Source>
  __device__ void load(const Source& source, int64_t width, int64_t total, int64_t from, int64_t k0) {
#pragma unroll
    for (int i = 0; i < kEach; i++) {
      const SlabElement e = slabElement(static_cast<int>(threadIdx.x) + i * threads, span, depth, depthContiguous);
      const int64_t across = from + e.across, k = k0 + e.k;
      const bool inside = across < width && k < total;
      value[i] = inside ? source[depthContiguous ? across * total + k : k * width + across] : 0.0f;
    }
  }

  __device__ void store(float (*shared)[span + kPadding]) const {
#pragma unroll
    for (int i = 0; i < kEach; i++) {
      const SlabElement e = slabElement(static_cast<int>(threadIdx.x) + i * threads, span, depth, depthContiguous);
      shared[e.k][e.across] = value[i];
    }
  }
};

/// The main factors or the update; those of a segment by value: a reference to either would put
/// them into local memory.
template <bool segmented>
__device__ std::conditional_t<segmented, Factors, const Factors&> factorsOf(const Product& p, const Factors& ofSegment,
                                                                            bool main) {
  if constexpr (segmented) {
    Factors f = ofSegment;
    if (main) f = p.main;
    return f;
  } else {
    return main ? p.main : p.update;
  }
}

/// What becomes of z, which lies at place `at` of the results, in column `col`.
template <Layout layout>
__device__ __forceinline__ void finishElement(const Product& p, float z, int64_t at, int64_t col) {
  if constexpr (layout == Layout::nt) {
    if (p.bias) z += p.bias[col];
    if (p.preActivation) p.preActivation[at] = z;
    z = activate(p.activation, z);
    if (p.residual) z += p.residual[at];
  }
  if constexpr (layout == Layout::nn) {
    if (p.slopeAt) z = __fmul_rn(z, activationSlope(p.activation, p.slopeAt[at]));
    if (p.residual) z += p.residual[at];
  }
  if constexpr (layout == Layout::tn) z += p.out[at];
  p.out[at] = z;
}

/// b of the main factors is `main.b`.
struct FloatWeight {};

/// @param weight FloatWeight, or what gives b of the main factors by its place in it.
template <Layout layout, Tile tile, bool segmented, class Weight>
__device__ __forceinline__ void multiplyTile(const Product& p, const Weight& weight) {
  constexpr TileShape shape = shapeOf(tile);
  constexpr int kThreads = shape.threads(), kRows = shape.threadRows, kCols = shape.threadCols;
  __shared__ __align__(16) float sharedA[shape.depth][shape.rows + kPadding];
  __shared__ __align__(16) float sharedB[shape.depth][shape.cols + kPadding];
  Slab<layout != Layout::tn, shape.rows, shape.depth, kThreads> slabA;
  Slab<layout == Layout::nt, shape.cols, shape.depth, kThreads> slabB;

  const auto origin = tileOrigin(int64_t{blockIdx.x}, p.cols, shape.rows, shape.cols);
  int64_t firstRow = origin.row, endRow = p.rows;
  const int64_t firstCol = origin.col;
  Factors update;
  if constexpr (segmented) {
    const SegmentTile s = segmentTile(p.segments, origin.row / shape.rows, shape.rows);
    if (!s.found) return;  // the whole block
    firstRow = s.row;
    endRow = s.end;
    update = p.update;
    update.a += s.first * (p.segments.mostRank - s.rank);  // dense from its first row on
    update.b += s.slot * p.segments.mostRank * p.cols;
    update.depth = s.rank;
  }
  const TileElement mine = tileElement(shape, static_cast<int>(threadIdx.x), 0, 0);
  float sum[kRows][kCols] = {};

  const bool masked = layout == Layout::nn && p.mask.active;
#pragma unroll 1
  for (int part = 0; part < 2; part++) {
    const bool main = (part == 0) != masked;
    const auto& f = factorsOf<segmented>(p, update, main);
    const auto load = [&](int64_t k) {
      slabA.load(f.a, endRow, f.depth, firstRow, k);
      if constexpr (!std::is_same_v<Weight, FloatWeight>)
        if (main) return slabB.load(weight, p.cols, f.depth, firstCol, k);
      slabB.load(f.b, p.cols, f.depth, firstCol, k);
    };
    if (f.depth > 0) load(0);
#pragma unroll 1
    for (int64_t k = 0; k < f.depth; k += shape.depth) {
      __syncthreads();  // the slab before has been read by all threads
      slabA.store(sharedA);
      slabB.store(sharedB);
      __syncthreads();
      if (k + shape.depth < f.depth) load(k + shape.depth);
#pragma unroll
      for (int step = 0; step < shape.depth; step++) {
        float a[kRows], b[kCols];
#pragma unroll
        for (int i = 0; i < kRows; i++) a[i] = sharedA[step][mine.row + i];
#pragma unroll
        for (int j = 0; j < kCols; j++) b[j] = sharedB[step][mine.col + j * shape.threadsAcross()];
#pragma unroll
        for (int i = 0; i < kRows; i++)
#pragma unroll
          for (int j = 0; j < kCols; j++) sum[i][j] = fmaf(a[i], b[j], sum[i][j]);
      }
    }
    if constexpr (layout == Layout::nn) {
      if (!masked || part == 1) continue;
      // First all bits, in a loop that is not unrolled: Philox is long.
      static_assert(kRows * kCols <= 64);
      uint64_t kept = 0;
#pragma unroll 1
      for (int e = 0; e < kRows * kCols; e++) {
        const int64_t row = firstRow + mine.row + e / kCols,
                      col = firstCol + mine.col + e % kCols * shape.threadsAcross();
        if (row < endRow && maskAt(p.mask, row, col) != 0) kept |= uint64_t{1} << e;
      }
#pragma unroll
      for (int i = 0; i < kRows; i++)
#pragma unroll
        for (int j = 0; j < kCols; j++) sum[i][j] *= kept >> (i * kCols + j) & 1 ? p.mask.keepScale : 0.0f;
    }
  }

  // A row of results at a time goes through the thread's own places in shared memory, so that what
  // becomes of a result stands in the code once a row: activations are long.
  static_assert(kCols * kThreads <= sizeof sharedA / sizeof(float));
  float* const own = &sharedA[0][0] + threadIdx.x;
  __syncthreads();  // the last slab has been read by all threads
#pragma unroll
  for (int i = 0; i < kRows; i++) {
#pragma unroll
    for (int j = 0; j < kCols; j++) own[j * kThreads] = sum[i][j];
    const int64_t row = firstRow + mine.row + i;
    if (row >= endRow) continue;
#pragma unroll 1
    for (int j = 0; j < kCols; j++) {
      const int64_t col = firstCol + mine.col + j * shape.threadsAcross();
      if (col < p.cols) finishElement<layout>(p, own[j * kThreads], row * p.cols + col, col);
    }
  }
}

template <Layout layout, Tile tile, bool segmented>
__global__ void __launch_bounds__(shapeOf(tile).threads()) tileProduct(const Product p) {
  multiplyTile<layout, tile, segmented>(p, FloatWeight{});
}

template <Layout layout, Tile tile>
void launchTiles(const char* op, const Product& p) {
  constexpr TileShape shape = shapeOf(tile);
  if constexpr (layout != Layout::tn)
    if (p.segments.slots > 0) {
      const int64_t count = p.segments.mostTiles(shape.rows) * ceilDivide(p.cols, shape.cols);
      return launch(op, tileProduct<layout, tile, true>, dim3(blocks(op, count)), shape.threads(), p);
    }
  launch(op, tileProduct<layout, tile, false>, dim3(blocks(op, tileCount(tile, p.rows, p.cols))), shape.threads(), p);
}

template <Layout layout>
void launchProduct(const char* op, const Product& p) {
  switch (selectTile(p.rows, p.cols)) {
    case Tile::large:
      return launchTiles<layout, Tile::large>(op, p);
    case Tile::medium:
      return launchTiles<layout, Tile::medium>(op, p);
    case Tile::narrow:
      return launchTiles<layout, Tile::narrow>(op, p);
  }
}

}  // namespace fl::cuda
