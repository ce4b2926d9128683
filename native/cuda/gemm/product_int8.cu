// y = f(x W^T + b + u B^T) + residual and dx = f'(z) (dy W + mask * (v A)) + residual with x, dy
// and W as int8 codes (ops/base_weights.h): the products of product_f32.h and product_bf16.h,
// their main factors multiplied as integers. Who makes the codes: held_weights.h.
//
// A block makes a tile of 64 x 64. cp.async brings slabs of 64 bytes of depth of both operands,
// then slabs of the update, into one ring of stages. Sums of codes are exact in 32 bits; each
// becomes float(sum) * (scale of the row * scale of the column). The update of the adapter has
// sums of its own, in fp32 or on tensor cores in bf16 as the op's precision says, is masked where
// there is a mask, and is added: without an adapter results have the bits of the CPU's.
#include "cuda/device/launch.h"
#include "cuda/gemm/held_weights.h"
#include "cuda/gemm/product_tile_bf16.cuh"

namespace fl::cuda {
namespace {

/// A slab has 64 codes of each row, which take the places of 32 values of bf16 (tile_bf16.h).
constexpr int kSlabPairs = TileBf16::kDepth;

struct ProductInt8 {
  int rows = 0, cols = 0;
  /// Of `depth` codes.
  const uint16_t* left = nullptr;
  const float* rowScales = nullptr;
  const uint16_t* right = nullptr;
  const float* columnScales = nullptr;
  int depth = 0;
  /// b is fp32 or, as Cast lays it out, bf16; of segments as in Product or ProductBf16.
  FactorsBf16 update;
  Segments segments;
  float* out = nullptr;
  const float* bias = nullptr;
  const float* residual = nullptr;
  float* preActivation = nullptr;
  const float* slopeAt = nullptr;
  Activation activation = Activation::none;
  Mask mask;
};

/// @param exact the update is a product of fp32.
template <Layout layout, bool exact>
struct Codes : Team<layout, TileSize::small, exact> {
  using T = Team<layout, TileSize::small, exact>;
  static constexpr TileBf16 kTile = T::kTile;
  static constexpr int kBytesOfLeft = 2 * kSlabPairs * kTile.rows;
  static constexpr int kStage = kTile.stageBytes(exact);
  static_assert(kBytesOfLeft + 2 * kSlabPairs * kTile.cols <= kStage);
  using Sums = int[T::kRowFragments][T::kColFragments][4];

  __device__ static void copyCodes(char* stage, const ProductInt8& p, int endRow, int firstRow, int firstCol, int k0) {
    const int pairs = (p.depth + 1) / 2;
    T::template copyHalfSlab<true, kTile.rows>(reinterpret_cast<uint16_t*>(stage), p.left, endRow, pairs, firstRow, k0);
    T::template copyHalfSlab<true, kTile.cols>(reinterpret_cast<uint16_t*>(stage + kBytesOfLeft), p.right, p.cols,
                                               pairs, firstCol, k0);
  }

  __device__ static void multiplyCodes(Sums& sum, const char* stage) {
    const auto* const left = reinterpret_cast<const uint16_t*>(stage);
    const auto* const right = reinterpret_cast<const uint16_t*>(stage + kBytesOfLeft);
    const int matrix = T::lane() / 8, line = T::lane() % 8;
#pragma unroll
    for (int step = 0; step < kSlabPairs / TileBf16::kStep; step++) {
      uint32_t a[T::kRowFragments][4];
#pragma unroll
      for (int i = 0; i < T::kRowFragments; i++)
        loadMatrices<false>(
            a[i], left + 8 * placeInHalfRow(T::warpRow() + 16 * i + matrix % 2 * 8 + line, 2 * step + matrix / 2));
#pragma unroll
      for (int j = 0; j < T::kColFragments; j += 2) {
        uint32_t b[4];
        loadMatrices<false>(
            b, right + 8 * placeInHalfRow(T::warpCol() + 8 * j + matrix / 2 * 8 + line, 2 * step + matrix % 2));
#pragma unroll
        for (int i = 0; i < T::kRowFragments; i++) {
          multiplyAddCodes(sum[i][j], a[i], b[0], b[1]);
          multiplyAddCodes(sum[i][j + 1], a[i], b[2], b[3]);
        }
      }
    }
  }

  /// A slab of 32 ranks of the update, of which `ranks` are there: one fused multiply-add an
  /// element and rank.
  __device__ static void multiplyExactly(typename T::Sums& sum, const char* stage, int ranks) {
    const auto* const a = reinterpret_cast<const float*>(stage);
    const auto* const b = reinterpret_cast<const float*>(stage + 16 * kTile.chunksOfA());
    const int g = T::lane() / 4, t = T::lane() % 4;
#pragma unroll 1
    for (int k = 0; k < ranks; k++) {
      float left[T::kRowFragments][2], right[T::kColFragments][2];
#pragma unroll
      for (int i = 0; i < T::kRowFragments; i++)
#pragma unroll
        for (int half = 0; half < 2; half++)
          left[i][half] = a[4 * placeInFloatRow(T::warpRow() + 16 * i + 8 * half + g, k / 4) + k % 4];
#pragma unroll
      for (int j = 0; j < T::kColFragments; j++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
          const int col = T::warpCol() + 8 * j + 2 * t + e;
          right[j][e] = layout == Layout::nt ? b[4 * placeInFloatRow(col, k / 4) + k % 4]
                                             : b[4 * placeInFloatStep(k, col / 4, kTile.cols) + col % 4];
        }
#pragma unroll
      for (int i = 0; i < T::kRowFragments; i++)
#pragma unroll
        for (int j = 0; j < T::kColFragments; j++)
#pragma unroll
          for (int e = 0; e < 4; e++) sum[i][j][e] = fmaf(left[i][e / 2], right[j][e % 2], sum[i][j][e]);
    }
  }

  /// What the codes' sums stand for.
  __device__ static void scaleSums(typename T::Sums& scaled, const Sums& sum, const ProductInt8& p, int firstRow,
                                   int endRow, int firstCol) {
    const int g = T::lane() / 4, t = T::lane() % 4;
#pragma unroll
    for (int i = 0; i < T::kRowFragments; i++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int row = firstRow + T::warpRow() + 16 * i + 8 * half + g;
        const float rowScale = row < endRow ? p.rowScales[row] : 0.0f;
#pragma unroll
        for (int j = 0; j < T::kColFragments; j++)
#pragma unroll
          for (int e = 0; e < 2; e++) {
            const int col = firstCol + T::warpCol() + 8 * j + 2 * t + e;
            const float columnScale = p.columnScales && col < p.cols ? p.columnScales[col] : 1.0f;
            scaled[i][j][2 * half + e] =
                __fmul_rn(static_cast<float>(sum[i][j][2 * half + e]), __fmul_rn(rowScale, columnScale));
          }
      }
  }
};

template <Layout layout, bool exact>
__global__ void __launch_bounds__(tileBf16(TileSize::small).threads(), 2) productInt8(const ProductInt8 p) {
  using C = Codes<layout, exact>;
  using T = typename C::T;
  constexpr TileBf16 kTile = C::kTile;
  char* const shared = dynamicShared<char>();
  const auto origin = tileOrigin(static_cast<int>(blockIdx.x), p.cols, kTile.rows, kTile.cols);
  int firstRow = origin.row, endRow = p.rows;
  const int firstCol = origin.col;
  FactorsBf16 update = p.update;
  if (p.segments.slots > 0) {
    const SegmentTile s = segmentTile(p.segments, origin.row / kTile.rows, kTile.rows);
    if (!s.found) return;  // the whole block
    firstRow = static_cast<int>(s.row);
    endRow = static_cast<int>(s.end);
    const int64_t most = p.segments.mostRank;
    update.depth = static_cast<int>(s.rank);
    update.a += s.first * (most - s.rank);  // dense from its first row on
    if constexpr (exact) {
      update.b = static_cast<const float*>(update.b) + s.slot * most * p.cols;
    } else {
      const int64_t block = layout == Layout::nt ? int64_t{p.cols} * paddedColsBf16(static_cast<int>(most))
                                                 : most * paddedColsBf16(p.cols);
      update.b = static_cast<const uint16_t*>(update.b) + s.slot * block;
    }
  }

  const int codeSlabs = ((p.depth + 1) / 2 + kSlabPairs - 1) / kSlabPairs;
  const SlabPlan updatePlan{update.depth, 0};
  const int slabs = codeSlabs + updatePlan.count();
  const auto stageOf = [&](int slab) { return shared + slab % kTile.stages * C::kStage; };
  const auto copy = [&](int slab) {
    char* const stage = stageOf(slab);
    if (slab < codeSlabs) {
      C::copyCodes(stage, p, endRow, firstRow, firstCol, slab * kSlabPairs);
    } else if (slab < slabs) {
      const int k0 = (slab - codeSlabs) * TileBf16::kDepth;
      if constexpr (exact) {
        T::template copyFloatSlab<true, kTile.rows, true>(reinterpret_cast<float*>(stage), update.a, endRow,
                                                          update.depth, firstRow, k0);
        T::template copyFloatSlab<layout == Layout::nt, kTile.cols, true>(
            reinterpret_cast<float*>(stage + 16 * kTile.chunksOfA()), static_cast<const float*>(update.b), p.cols,
            update.depth, firstCol, k0);
      } else {
        T::template copySlab<true>(stage, update, endRow, p.cols, firstRow, firstCol, k0);
      }
    }
    endCopyGroup();
  };
  const auto next = [&](int slab) {
    waitForCopies<kTile.stages - 2>();
    __syncthreads();  // this slab is there for all; the one before has been read by all
    copy(slab + kTile.stages - 1);
  };

  typename C::Sums codes = {};
  typename T::Sums base, more = {};
#pragma unroll 1
  for (int slab = 0; slab < kTile.stages - 1; slab++) copy(slab);
#pragma unroll 1
  for (int slab = 0; slab < codeSlabs; slab++) {
    next(slab);
    C::multiplyCodes(codes, stageOf(slab));
  }
  C::scaleSums(base, codes, p, firstRow, endRow, firstCol);
#pragma unroll 1
  for (int slab = codeSlabs; slab < slabs; slab++) {
    next(slab);
    const int left = update.depth - (slab - codeSlabs) * TileBf16::kDepth;
    if constexpr (exact)
      C::multiplyExactly(more, stageOf(slab), left < TileBf16::kDepth ? left : TileBf16::kDepth);
    else
      T::multiplySlab(more, stageOf(slab), left > TileBf16::kStep ? 2 : 1);
  }
  if constexpr (layout == Layout::nn)
    if (p.mask.active) T::maskSums(more, p.mask, firstRow, firstCol, endRow);
#pragma unroll
  for (int i = 0; i < T::kRowFragments; i++)
#pragma unroll
    for (int j = 0; j < T::kColFragments; j++)
#pragma unroll
      for (int e = 0; e < 4; e++) more[i][j][e] = __fadd_rn(base[i][j][e], more[i][j][e]);
  waitForCopies<0>();
  __syncthreads();

  auto* const results = reinterpret_cast<float*>(shared);
  T::shareSums(results, more);
  __syncthreads();
  constexpr int kLines = kTile.cols / 4;
#pragma unroll 1
  for (int e = static_cast<int>(threadIdx.x); e < kTile.rows * kLines; e += kTile.threads()) {
    const int row = e / kLines, col = e % kLines * 4;
    if (firstRow + row < endRow && firstCol + col < p.cols)
      finish<layout>(p, Line::load(results + row * kTile.resultStride() + col, 4, true), firstRow + row,
                     firstCol + col);
  }
}

template <class AnyProduct>
ProductInt8 productOf(const char* op, const AnyProduct& from, const Int8Operands& operands) {
  ProductInt8 p;
  p.rows = productSize(op, from.rows);
  p.cols = productSize(op, from.cols);
  p.left = reinterpret_cast<const uint16_t*>(operands.rows);
  p.rowScales = operands.rowScales;
  p.right = reinterpret_cast<const uint16_t*>(operands.weight);
  p.columnScales = operands.columnScales;
  p.depth = productSize(op, operands.depth);
  p.segments = from.segments;
  p.out = from.out;
  p.bias = from.bias;
  p.residual = from.residual;
  p.preActivation = from.preActivation;
  p.slopeAt = from.slopeAt;
  p.activation = from.activation;
  p.mask = from.mask;
  return p;
}

template <Layout layout, bool exact>
void launchTiles(const char* op, const ProductInt8& p) {
  constexpr TileBf16 tile = tileBf16(TileSize::small);
  const int64_t rowTiles =
      p.segments.slots > 0 ? p.segments.mostTiles(tile.rows) : ceilDivide(int64_t{p.rows}, tile.rows);
  launchShared(op, productInt8<layout, exact>, dim3(blocks(op, rowTiles * ceilDivide(int64_t{p.cols}, tile.cols))),
               tile.threads(), tile.sharedBytes(exact), p);
}

template <bool exact>
void runLayout(const char* op, Layout layout, const ProductInt8& p) {
  if (layout == Layout::nt)
    launchTiles<Layout::nt, exact>(op, p);
  else
    launchTiles<Layout::nn, exact>(op, p);
}

}  // namespace

void runInt8(const char* op, Layout layout, const Product& product, const Int8Operands& operands) {
  ProductInt8 p = productOf(op, product, operands);
  p.update = {product.update.a, nullptr, product.update.b, static_cast<int>(product.update.depth)};
  runLayout<true>(op, layout, p);
}

void runInt8(const char* op, Layout layout, const ProductBf16& product, const Int8Operands& operands) {
  ProductInt8 p = productOf(op, product, operands);
  // Where there is a mask, the update comes first.
  p.update = product.parts[product.mask.active ? 0 : 1];
  runLayout<false>(op, layout, p);
}

}  // namespace fl::cuda
