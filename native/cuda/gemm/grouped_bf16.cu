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

template <TileSize size>
constexpr int tilesOf(const GroupBf16::Product& p) {
  constexpr TileBf16 tile = tileBf16(size);
  return (p.rows + tile.rows - 1) / tile.rows * ((p.cols + tile.cols - 1) / tile.cols);
}

constexpr int64_t blocksOf(const WeightGradient& g) {
  return ceilDivide(g.cols, WeightGradientTile::kCols) * ceilDivide(g.rank, WeightGradientTile::kRanks);
}

template <Layout layout, TileSize size>
__global__ void __launch_bounds__(tileBf16(size).threads(), tileBf16(size).blocksPerMultiprocessor)
    groupedBf16(const GroupBf16 g) {
  int block = static_cast<int>(blockIdx.x);
#pragma unroll 1
  for (int i = 0; i < g.products; i++) {
    const int tiles = tilesOf<size>(g.product[i]);
    if (block < tiles) return productTile<layout, size, false>(g.product[i], block);
    block -= tiles;
  }
  if constexpr (size == TileSize::small) {
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
}

template <Layout layout, TileSize size>
void launchGroup(const char* op, const GroupBf16& g) {
  constexpr TileBf16 tile = tileBf16(size);
  int64_t count = 0;
  for (int i = 0; i < g.products; i++) count += tilesOf<size>(g.product[i]);
  for (int i = 0; i < g.gradients; i++) count += blocksOf(g.gradient[i]);
  if (count > 0)
    launchShared(op, groupedBf16<layout, size>, dim3(blocks(op, count)), tile.threads(), tile.sharedBytes(false), g);
}

template <Layout layout>
void runLayout(const char* op, const GroupBf16& g) {
  bool large = false;
  for (int i = 0; i < g.products; i++)
    large = large || selectTileBf16(g.product[i].rows, g.product[i].cols) == TileSize::large;
  if (!large) return launchGroup<layout, TileSize::small>(op, g);
  GroupBf16 products = g, gradients = g;
  products.gradients = gradients.products = 0;
  launchGroup<layout, TileSize::large>(op, products);
  launchGroup<layout, TileSize::small>(op, gradients);
}

}  // namespace

void run(const char* op, Layout layout, const GroupBf16& g) {
  if (layout == Layout::nt)
    runLayout<Layout::nt>(op, g);
  else
    runLayout<Layout::nn>(op, g);
}

}  // namespace fl::cuda
