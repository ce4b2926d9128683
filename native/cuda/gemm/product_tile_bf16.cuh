// A tile of C[m, n] = sum_k a[m, k] b[k, n] + sum_i a'[m, i] b'[i, n] by mma.sync, as a block makes
// it, for all layouts (product_f32.h). The kernels around it: product_bf16.cu, grouped_bf16.cu.
//
// cp.async brings slabs of 32 steps of both operands into a ring of stages in shared memory,
// several slabs ahead of the products; one barrier a slab. Warps take fragments from there,
// rounding what is fp32. The update of an adapter is more slabs of the same accumulator (u B^T
// after x W^T; v A before dy W where the mask lies between the two). What is outside of an operand
// is zero in shared memory and is not stored.
//
// The accumulator goes through shared memory at the end, so that bias, activation and residual work
// on whole lines.
#pragma once

#include <type_traits>

#include "cuda/gemm/product_bf16.h"
#include "cuda/gemm/tile_bf16.h"
#include "cuda/ops/activation.cuh"
#include "cuda/ops/shared.cuh"
#include "cuda/ptx/async_copy.cuh"
#include "cuda/ptx/tensor_core.cuh"

namespace fl::cuda {

/// @param wide b is fp32, as it is in layout tn.
template <Layout layout, TileSize size, bool wide>
struct Team {
  static constexpr TileBf16 kTile = tileBf16(size);
  static constexpr bool kWide = wide || layout == Layout::tn;
  static constexpr int kRowFragments = kTile.rowFragments(), kColFragments = kTile.colFragments();
  using Sums = float[kRowFragments][kColFragments][4];

  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }
  // A static member has no address in device code.
  __device__ static int warpRow() {
    constexpr TileBf16 tile = kTile;
    return tile.warpRow(static_cast<int>(threadIdx.x));
  }
  __device__ static int warpCol() {
    constexpr TileBf16 tile = kTile;
    return tile.warpCol(static_cast<int>(threadIdx.x));
  }

  /// A slab of `source` [width, depth] (depth contiguous) or [depth, width], fp32.
  /// @param anywhere rows may begin off 16 bytes whatever their length.
  template <bool depthContiguous, int span, bool anywhere = false>
  __device__ static void copyFloatSlab(float* stage, const float* source, int width, int depth, int from, int k0) {
    constexpr int kChunks = span * TileBf16::kDepth / 4, kPerLine = (depthContiguous ? TileBf16::kDepth : span) / 4;
    constexpr int kEach = kChunks / kTile.threads(), kLinesEach = kTile.threads() / kPerLine;
    static_assert(kEach * kTile.threads() == kChunks && kLinesEach * kPerLine == kTile.threads());
    // A thread has the same chunk of every kLinesEach-th line; lines count from `firstLine`, chunks
    // from `firstChunk`.
    const int line = static_cast<int>(threadIdx.x) / kPerLine, chunk = static_cast<int>(threadIdx.x) % kPerLine;
    const int length = depthContiguous ? depth : width, lines = depthContiguous ? width : depth;
    const int firstLine = depthContiguous ? from : k0, at = (depthContiguous ? k0 : from) + 4 * chunk;
    const auto place = [&](int l) {
      return stage + 4 * (depthContiguous ? placeInFloatRow(l, chunk) : placeInFloatStep(l, chunk, span));
    };
    const int left = length - at;
    const float* const begin = source + int64_t{firstLine + line} * length + at;
    if (length % 4 == 0 && (!anywhere || reinterpret_cast<uintptr_t>(source) % 16 == 0)) {
#pragma unroll
      for (int i = 0; i < kEach; i++) {
        const bool inside = left > 0 && firstLine + line + i * kLinesEach < lines;
        beginCopy<16>(place(line + i * kLinesEach), inside ? begin + int64_t{i * kLinesEach} * length : source,
                      inside ? 16 : 0);
      }
      return;
    }
#pragma unroll 1
    for (int i = 0; i < kEach; i++)
#pragma unroll 1
      for (int n = 0; n < 4; n++) {
        const bool inside = left > n && firstLine + line + i * kLinesEach < lines;
        beginCopy<4>(place(line + i * kLinesEach) + n, inside ? begin + int64_t{i * kLinesEach} * length + n : source,
                     inside ? 4 : 0);
      }
  }

  /// The same of bf16 whose rows are padded to whole chunks.
  template <bool depthContiguous, int span>
  __device__ static void copyHalfSlab(uint16_t* stage, const uint16_t* source, int width, int depth, int from, int k0) {
    constexpr int kChunks = span * TileBf16::kDepth / 8, kPerLine = (depthContiguous ? TileBf16::kDepth : span) / 8;
    constexpr int kEach = kChunks / kTile.threads(), kLinesEach = kTile.threads() / kPerLine;
    static_assert(kEach * kTile.threads() == kChunks && kLinesEach * kPerLine == kTile.threads());
    const int line = static_cast<int>(threadIdx.x) / kPerLine, chunk = static_cast<int>(threadIdx.x) % kPerLine;
    const int length = paddedColsBf16(depthContiguous ? depth : width), lines = depthContiguous ? width : depth;
    const int firstLine = depthContiguous ? from : k0, at = (depthContiguous ? k0 : from) + 8 * chunk;
    const uint16_t* const begin = source + int64_t{firstLine + line} * length + at;
#pragma unroll
    for (int i = 0; i < kEach; i++) {
      const int l = line + i * kLinesEach;
      const int place = depthContiguous ? placeInHalfRow(l, chunk) : placeInHalfStep(l, chunk, span);
      const bool inside = at < length && firstLine + l < lines;
      beginCopy<16>(stage + 8 * place, inside ? begin + int64_t{i * kLinesEach} * length : source, inside ? 16 : 0);
    }
  }

  template <bool segmented>
  __device__ static void copySlab(char* stage, const FactorsBf16& f, int rows, int cols, int firstRow, int firstCol,
                                  int k0) {
    auto* const a = reinterpret_cast<float*>(stage);
    char* const b = stage + 16 * kTile.chunksOfA();
    copyFloatSlab<layout != Layout::tn, kTile.rows, segmented>(a, f.a, rows, f.depth, firstRow, k0);
    if constexpr (kWide)
      copyFloatSlab<layout == Layout::nt, kTile.cols>(reinterpret_cast<float*>(b), static_cast<const float*>(f.b), cols,
                                                      f.depth, firstCol, k0);
    else
      copyHalfSlab<layout == Layout::nt, kTile.cols>(reinterpret_cast<uint16_t*>(b), static_cast<const uint16_t*>(f.b),
                                                     cols, f.depth, firstCol, k0);
  }

  /// Fragment of rows row .. row + 15 of a, steps k .. k + 15 of the slab.
  __device__ static void takeA(uint32_t (&a)[4], const float* stage, int row, int k) {
    const int g = lane() / 4, t = lane() % 4;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int r = row + g + i % 2 * 8, first = k + 2 * t + i / 2 * 8;
      if constexpr (layout == Layout::tn) {
        a[i] = packBf16(stage[4 * placeInFloatStep(first, r / 4, kTile.rows) + r % 4],
                        stage[4 * placeInFloatStep(first + 1, r / 4, kTile.rows) + r % 4]);
      } else {
        const float2 pair = *reinterpret_cast<const float2*>(stage + 4 * placeInFloatRow(r, first / 4) + first % 4);
        a[i] = packBf16(pair.x, pair.y);
      }
    }
  }

  /// Fragments of columns col .. col + 15 of b: b[0..1] of the first eight, b[2..3] of the others.
  __device__ static void takeB(uint32_t (&b)[4], const char* stage, int col, int k) {
    if constexpr (kWide) {
      const auto* const values = reinterpret_cast<const float*>(stage);
      const int g = lane() / 4, t = lane() % 4;
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int c = col + g + i / 2 * 8, first = k + 2 * t + i % 2 * 8;
        if constexpr (layout == Layout::nt) {
          const float2 pair = *reinterpret_cast<const float2*>(values + 4 * placeInFloatRow(c, first / 4) + first % 4);
          b[i] = packBf16(pair.x, pair.y);
          continue;
        }
        b[i] = packBf16(values[4 * placeInFloatStep(first, c / 4, kTile.cols) + c % 4],
                        values[4 * placeInFloatStep(first + 1, c / 4, kTile.cols) + c % 4]);
      }
    } else {
      const auto* const values = reinterpret_cast<const uint16_t*>(stage);
      const int matrix = lane() / 8, row = lane() % 8;
      if constexpr (layout == Layout::nt)
        loadMatrices<false>(b, values + 8 * placeInHalfRow(col + matrix / 2 * 8 + row, k / 8 + matrix % 2));
      else
        loadMatrices<true>(b, values + 8 * placeInHalfStep(k + matrix % 2 * 8 + row, col / 8 + matrix / 2, kTile.cols));
    }
  }

  __device__ static void multiplySlab(Sums& sum, const char* stage, int steps) {
    const auto* const a = reinterpret_cast<const float*>(stage);
    const char* const b = stage + 16 * kTile.chunksOfA();
#pragma unroll
    for (int step = 0; step < TileBf16::kDepth / TileBf16::kStep; step++) {
      if (step >= steps) break;
      uint32_t fragmentA[kRowFragments][4];
#pragma unroll
      for (int i = 0; i < kRowFragments; i++) takeA(fragmentA[i], a, warpRow() + 16 * i, TileBf16::kStep * step);
#pragma unroll
      for (int j = 0; j < kColFragments; j += 2) {
        uint32_t fragmentB[4];
        takeB(fragmentB, b, warpCol() + 8 * j, TileBf16::kStep * step);
#pragma unroll
        for (int i = 0; i < kRowFragments; i++) {
          multiplyAdd(sum[i][j], fragmentA[i], fragmentB[0], fragmentB[1]);
          multiplyAdd(sum[i][j + 1], fragmentA[i], fragmentB[2], fragmentB[3]);
        }
      }
    }
  }

  /// Multiplies by the mask: first all bits, in a loop that is not unrolled, one Philox call for
  /// two of them.
  __device__ static void maskSums(Sums& sum, const Mask& mask, int firstRow, int firstCol, int rows) {
    const int g = lane() / 4, t = lane() % 4;
    constexpr int kCalls = 2 * kRowFragments * kColFragments;
    static_assert(2 * kCalls <= 64);
    uint64_t kept = 0;
#pragma unroll 1
    for (int call = 0; call < kCalls; call++) {
      const int row = firstRow + warpRow() + call / kColFragments * 8 + g;
      const int col = firstCol + warpCol() + call % kColFragments * 8 + 2 * t;
      const auto token = static_cast<uint32_t>(mask.tokenIndex && row < rows ? mask.tokenIndex[row] : row);
      const Philox4 words = mask.key.wordsReadAnew(token, static_cast<uint32_t>(col >> 2));
      const uint32_t low = t % 2 == 0 ? words.word[0] : words.word[2],
                     high = t % 2 == 0 ? words.word[1] : words.word[3];
      kept |= uint64_t{(low >= mask.threshold ? 1u : 0u) | (high >= mask.threshold ? 2u : 0u)} << 2 * call;
    }
#pragma unroll
    for (int i = 0; i < kRowFragments; i++)
#pragma unroll
      for (int j = 0; j < kColFragments; j++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
          const int bit = 2 * ((2 * i + e / 2) * kColFragments + j) + e % 2;
          sum[i][j][e] *= kept >> bit & 1 ? mask.keepScale : 0.0f;
        }
  }

  __device__ static void shareSums(float* results, const Sums& sum) {
    const int g = lane() / 4, t = lane() % 4;
#pragma unroll
    for (int i = 0; i < kRowFragments; i++)
#pragma unroll
      for (int j = 0; j < kColFragments; j++)
#pragma unroll
        for (int half = 0; half < 2; half++)
          *reinterpret_cast<float2*>(results + (warpRow() + 16 * i + 8 * half + g) * kTile.resultStride() + warpCol() +
                                     8 * j + 2 * t) = make_float2(sum[i][j][2 * half], sum[i][j][2 * half + 1]);
  }
};

/// Four neighbouring values of a row, `count` of them inside; `whole`: rows begin on 16 bytes.
struct Line {
  float v[4];

  __device__ static Line load(const float* from, int count, bool whole) {
    if (whole) {
      const float4 all = *reinterpret_cast<const float4*>(from);
      return {{all.x, all.y, all.z, all.w}};
    }
    Line line;
#pragma unroll
    for (int i = 0; i < 4; i++) line.v[i] = i < count ? from[i] : 0.0f;
    return line;
  }
  __device__ void store(float* to, int count, bool whole) const {
    if (whole) {
      *reinterpret_cast<float4*>(to) = make_float4(v[0], v[1], v[2], v[3]);
      return;
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
      if (i < count) to[i] = v[i];
  }
  __device__ void add(const Line& other) {
#pragma unroll
    for (int i = 0; i < 4; i++) v[i] += other.v[i];
  }
};

template <Layout layout, class Product>
__device__ void finish(const Product& p, Line z, int row, int col) {
  const bool whole = p.cols % 4 == 0;
  const int count = p.cols - col < 4 ? p.cols - col : 4;
  const int64_t at = int64_t{row} * p.cols + col;
  if constexpr (layout == Layout::nt) {
    if (p.bias) z.add(Line::load(p.bias + col, count, whole));
    if (p.preActivation) z.store(p.preActivation + at, count, whole);
    if (p.activation != Activation::none)
#pragma unroll
      for (int i = 0; i < 4; i++) z.v[i] = activate(p.activation, z.v[i]);
    if (p.residual) z.add(Line::load(p.residual + at, count, whole));
  }
  if constexpr (layout == Layout::nn) {
    if (p.slopeAt) {
      const Line at0 = Line::load(p.slopeAt + at, count, whole);
#pragma unroll
      for (int i = 0; i < 4; i++) z.v[i] = __fmul_rn(z.v[i], activationSlope(p.activation, at0.v[i]));
    }
    if (p.residual) z.add(Line::load(p.residual + at, count, whole));
  }
  if constexpr (layout == Layout::tn) z.add(Line::load(p.out + at, count, whole));
  z.store(p.out + at, count, whole);
}

__device__ inline SlabPlan slabsOf(const ProductBf16& p) { return {p.parts[0].depth, p.parts[1].depth}; }
template <int parts>
__device__ inline SlabList<parts> slabsOf(const ProductOf<parts>& p) {
  SlabList<parts> list;
#pragma unroll
  for (int i = 0; i < parts; i++) list.depth[i] = p.parts[i].depth;
  return list;
}

/// b of the main part is in memory as FactorsBf16 says.
struct WeightInMemory {};

/// Tile `tile` of the product.
/// @param weight WeightInMemory, or what puts a slab of b of the main part into a stage itself.
template <Layout layout, TileSize size, bool segmented, bool wide = false, class Product, class Weight = WeightInMemory>
__device__ __forceinline__ void productTile(const Product& p, int tile, const Weight& weight = {}) {
  using T = Team<layout, size, wide>;
  constexpr TileBf16 kTile = T::kTile;
  constexpr int kStage = kTile.stageBytes(T::kWide);
  char* const shared = dynamicShared<char>();
  const auto origin = tileOrigin(tile, p.cols, kTile.rows, kTile.cols);
  int firstRow = origin.row, endRow = p.rows;
  const int firstCol = origin.col;

  auto plan = slabsOf(p);
  FactorsBf16 update;
  bool updateFirst = false;
  if constexpr (segmented) {
    const SegmentTile s = segmentTile(p.segments, origin.row / kTile.rows, kTile.rows);
    if (!s.found) return;  // the whole block
    firstRow = static_cast<int>(s.row);
    endRow = static_cast<int>(s.end);
    updateFirst = p.mask.active;
    const auto& all = p.parts[updateFirst ? 0 : 1];
    const int64_t most = p.segments.mostRank;
    const int64_t block =
        layout == Layout::nt ? int64_t{p.cols} * paddedColsBf16(static_cast<int>(most)) : most * paddedColsBf16(p.cols);
    update.depth = static_cast<int>(s.rank);
    update.a = all.a + s.first * (most - s.rank);  // dense from its first row on
    update.b = static_cast<const uint16_t*>(all.b) + s.slot * block;
    (updateFirst ? plan.firstDepth : plan.secondDepth) = update.depth;
  }
  const int slabs = plan.count();
  const auto copyFactors = [&](char* stage, const FactorsBf16& f, bool main, int k0) {
    if constexpr (!std::is_same_v<Weight, WeightInMemory>)
      if (main) {
        T::template copyFloatSlab<true, kTile.rows>(reinterpret_cast<float*>(stage), f.a, endRow, f.depth, firstRow,
                                                    k0);
        return weight.template expandSlab<layout, size>(stage + 16 * kTile.chunksOfA(), p.cols, f.depth, firstCol, k0);
      }
    T::template copySlab<segmented>(stage, f, endRow, p.cols, firstRow, firstCol, k0);
  };
  const auto copy = [&](int slab) {
    if (slab < slabs) {
      char* const stage = shared + slab % kTile.stages * kStage;
      if constexpr (segmented) {
        const bool main = plan.inFirst(slab) != updateFirst;
        FactorsBf16 f = update;
        if (main) f = p.parts[updateFirst ? 1 : 0];
        copyFactors(stage, f, main, plan.begin(slab));
      } else {
        const int part = plan.part(slab);
        copyFactors(stage, p.parts[part], part == (p.mask.active ? 1 : 0), plan.begin(slab));
      }
    }
    endCopyGroup();
  };

  typename T::Sums sum = {};
#pragma unroll 1
  for (int slab = 0; slab < kTile.stages - 1; slab++) copy(slab);
#pragma unroll 1
  for (int slab = 0; slab < slabs; slab++) {
    waitForCopies<kTile.stages - 2>();
    __syncthreads();  // this slab is there for all; the one before has been read by all
    copy(slab + kTile.stages - 1);
    if constexpr (layout == Layout::nn && Product::kParts == 2)
      if (p.mask.active && slab == plan.firstSlabs()) T::maskSums(sum, p.mask, firstRow, firstCol, endRow);
    T::multiplySlab(sum, shared + slab % kTile.stages * kStage, plan.steps(slab));
  }
  waitForCopies<0>();
  __syncthreads();

  auto* const results = reinterpret_cast<float*>(shared);
  T::shareSums(results, sum);
  __syncthreads();
  constexpr int kLines = kTile.cols / 4;
#pragma unroll 2
  for (int e = static_cast<int>(threadIdx.x); e < kTile.rows * kLines; e += kTile.threads()) {
    const int row = e / kLines, col = e % kLines * 4;
    if (firstRow + row < endRow && firstCol + col < p.cols)
      finish<layout>(p, Line::load(results + row * kTile.resultStride() + col, 4, true), firstRow + row,
                     firstCol + col);
  }
}

}  // namespace fl::cuda
