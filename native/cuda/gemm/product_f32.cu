// C[m, n] = sum_k a[m, k] b[k, n] + sum_i a'[m, i] b'[i, n]
// The operands are described in product_f32.h, bf16 is product_bf16.cu's.
//
// A block holds a tile of C in registers and walks along the depth: a slab of each operand (a:
// depth x rows, b: depth x cols of the tile) goes from memory through registers to shared memory;
// while one slab is multiplied, the next is under way. One fused multiply-add an element and step,
// in the order of k, then of i; with a mask, i comes first, since the mask lies between the two.
// What is outside of an operand counts as zero and is not stored.
#include <type_traits>

#include "cuda/device/launch.h"
#include "cuda/gemm/product_f32.h"
#include "cuda/gemm/selection.h"
#include "cuda/ops/activation.cuh"

namespace fl::cuda {
namespace {

/// Four floats more a row of shared memory: rows stay 16-byte aligned and start on different banks.
constexpr int kPadding = 4;

/// One thread's part of a slab, between memory and shared memory.
template <bool depthContiguous, int span, int depth, int threads>
struct Slab {
  static constexpr int kEach = span * depth / threads;
  static_assert(kEach * threads == span * depth);
  float value[kEach];

  /// source: [width, total] where the depth is contiguous, else [total, width]; the slab begins at
  /// (from, k0).
  __device__ void load(const float* source, int64_t width, int64_t total, int64_t from, int64_t k0) {
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

template <Layout layout, Tile tile, bool segmented>
__global__ void __launch_bounds__(shapeOf(tile).threads()) tileProduct(const Product p) {
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
    const auto& f = factorsOf<segmented>(p, update, (part == 0) != masked);
    if (f.depth > 0) {
      slabA.load(f.a, endRow, f.depth, firstRow, 0);
      slabB.load(f.b, p.cols, f.depth, firstCol, 0);
    }
#pragma unroll 1
    for (int64_t k = 0; k < f.depth; k += shape.depth) {
      __syncthreads();  // the slab before has been read by all threads
      slabA.store(sharedA);
      slabB.store(sharedB);
      __syncthreads();
      if (k + shape.depth < f.depth) {
        slabA.load(f.a, endRow, f.depth, firstRow, k + shape.depth);
        slabB.load(f.b, p.cols, f.depth, firstCol, k + shape.depth);
      }
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
#pragma unroll
      for (int i = 0; i < kRows; i++)
#pragma unroll
        for (int j = 0; j < kCols; j++) {
          const int64_t row = firstRow + mine.row + i, col = firstCol + mine.col + j * shape.threadsAcross();
          if (row < endRow && col < p.cols) sum[i][j] *= maskAt(p.mask, row, col);
        }
    }
  }

#pragma unroll
  for (int i = 0; i < kRows; i++)
#pragma unroll
    for (int j = 0; j < kCols; j++) {
      const int64_t row = firstRow + mine.row + i, col = firstCol + mine.col + j * shape.threadsAcross();
      if (row >= endRow || col >= p.cols) continue;
      const int64_t at = row * p.cols + col;
      float z = sum[i][j];
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
void runLayout(const char* op, const Product& p) {
  switch (selectTile(p.rows, p.cols)) {
    case Tile::large:
      return launchTiles<layout, Tile::large>(op, p);
    case Tile::medium:
      return launchTiles<layout, Tile::medium>(op, p);
    case Tile::narrow:
      return launchTiles<layout, Tile::narrow>(op, p);
  }
}

}  // namespace

void run(const char* op, Layout layout, const Product& p) {
  if (p.rows == 0 || p.cols == 0) return;
  switch (layout) {
    case Layout::nt:
      return runLayout<Layout::nt>(op, p);
    case Layout::nn:
      return runLayout<Layout::nn>(op, p);
    case Layout::tn:
      return runLayout<Layout::tn>(op, p);
  }
}

}  // namespace fl::cuda
