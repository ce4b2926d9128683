// Blocks 0 .. of a launch are the tiles of the products, one product after the other; those behind
// them each sum 32 columns and 32 ranks of a gradient. What they hold: grouped_bf16.h.
#include "cuda/gemm/grouped_bf16.h"

#include "cuda/device/launch.h"
#include "cuda/gemm/product_tile_bf16.cuh"
#include "cuda/gemm/weight_gradient_bf16.cuh"

namespace fl::cuda {
namespace {

constexpr TileBf16 kSmall = tileBf16(TileSize::small);
static_assert(kSmall.threads() == WeightGradientTile::kThreads);
static_assert(kSmall.sharedBytes(false) >= sizeof(float) * WeightGradientBlockBf16::kSharedFloats);

constexpr int tilesOf(const GroupBf16::Product& p) {
  return (p.rows + kSmall.rows - 1) / kSmall.rows * ((p.cols + kSmall.cols - 1) / kSmall.cols);
}

constexpr int64_t blocksOf(const WeightGradient& g) {
  return ceilDivide(g.cols, WeightGradientTile::kCols) * ceilDivide(g.rank, WeightGradientTile::kRanks);
}

template <Layout layout>
__global__ void __launch_bounds__(kSmall.threads(), kSmall.blocksPerMultiprocessor) groupedBf16(const GroupBf16 g) {
  int block = static_cast<int>(blockIdx.x);
#pragma unroll 1
  for (int i = 0; i < g.products; i++) {
    const int tiles = tilesOf(g.product[i]);
    if (block < tiles) return productTile<layout, TileSize::small, false>(g.product[i], block);
    block -= tiles;
  }
#pragma unroll 1
  for (int i = 0; i < g.gradients; i++) {
    const WeightGradient& o = g.gradient[i];
    const auto blocks = static_cast<int>(blocksOf(o));
    if (block < blocks) {
      const auto across = static_cast<int>(ceilDivide(o.cols, WeightGradientTile::kCols));
      return addPiecesBf16(o, block % across * int64_t{WeightGradientTile::kCols},
                           block / across * int64_t{WeightGradientTile::kRanks}, dynamicShared<float>());
    }
    block -= blocks;
  }
}

template <Layout layout>
void launchGroup(const char* op, const GroupBf16& g) {
  int64_t count = 0;
  for (int i = 0; i < g.products; i++) count += tilesOf(g.product[i]);
  for (int i = 0; i < g.gradients; i++) count += blocksOf(g.gradient[i]);
  if (count > 0)
    launchShared(op, groupedBf16<layout>, dim3(blocks(op, count)), kSmall.threads(), kSmall.sharedBytes(false), g);
}

/// A product by itself, two parts a launch: what is there already is the residual of the next two.
void runAlone(const char* op, Layout layout, const GroupBf16::Product& p) {
  ProductBf16 pair;
  pair.rows = p.rows;
  pair.cols = p.cols;
  pair.out = p.out;
  pair.bias = p.bias;
  pair.residual = p.residual;
  pair.preActivation = p.preActivation;
  pair.slopeAt = p.slopeAt;
  pair.activation = p.activation;
  for (int i = 0; i < GroupBf16::Product::kParts && (i == 0 || p.parts[i].depth > 0); i += 2) {
    pair.parts[0] = p.parts[i];
    pair.parts[1] = p.parts[i + 1];
    run(op, layout, pair);
    pair.residual = p.out;
  }
}

template <Layout layout>
void runLayout(const char* op, const GroupBf16& g) {
  bool large = false;
  for (int i = 0; i < g.products; i++)
    large = large || selectTileBf16(g.product[i].rows, g.product[i].cols) == TileSize::large;
  if (!large) return launchGroup<layout>(op, g);
  for (int i = 0; i < g.products; i++) runAlone(op, layout, g.product[i]);
  GroupBf16 gradients = g;
  gradients.products = 0;
  launchGroup<layout>(op, gradients);
}

}  // namespace

void run(const char* op, Layout layout, const GroupBf16& g) {
  if (layout == Layout::nt)
    runLayout<Layout::nt>(op, g);
  else
    runLayout<Layout::nn>(op, g);
}

}  // namespace fl::cuda
