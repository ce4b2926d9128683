// Launches the products of product_bf16.h: a block a tile (product_tile_bf16.cuh), tiles by shape
// (tile_bf16.h). Several at once: grouped_bf16.cu; those of compute capability 9.0: cuda/hopper.
#include "cuda/device/launch.h"
#include "cuda/gemm/product_tile_bf16.cuh"
#include "cuda/hopper/product_sm90a.h"

namespace fl::cuda {
namespace {

template <Layout layout, TileSize size, bool segmented, bool wide = false>
__global__ void __launch_bounds__(tileBf16(size).threads(), tileBf16(size).blocksPerMultiprocessor)
    productBf16(const ProductBf16 p) {
  productTile<layout, size, segmented, wide>(p, static_cast<int>(blockIdx.x));
}

template <Layout layout, TileSize size>
void launchTiles(const char* op, const ProductBf16& p) {
  constexpr TileBf16 tile = tileBf16(size);
  const auto launchAll = [&](auto kernel, int64_t rowTiles) {
    launchShared(op, kernel, dim3(blocks(op, rowTiles * ceilDivide(p.cols, tile.cols))), tile.threads(),
                 tile.sharedBytes(layout == Layout::tn || p.wide), p);
  };
  if constexpr (layout != Layout::tn && size == TileSize::small)
    if (p.wide) return launchAll(productBf16<layout, size, false, true>, ceilDivide(p.rows, tile.rows));
  if constexpr (layout != Layout::tn)
    if (p.segments.slots > 0) return launchAll(productBf16<layout, size, true>, p.segments.mostTiles(tile.rows));
  launchAll(productBf16<layout, size, false>, ceilDivide(p.rows, tile.rows));
}

template <Layout layout>
void runLayout(const char* op, const ProductBf16& p) {
  if (!p.wide && selectTileBf16(p.rows, p.cols) == TileSize::large)
    launchTiles<layout, TileSize::large>(op, p);
  else
    launchTiles<layout, TileSize::small>(op, p);
}

}  // namespace

void run(const char* op, Layout layout, const ProductBf16& p) {
  if (p.rows == 0 || p.cols == 0) return;
  if (p.parts[0].rounded) return hopper::run(op, layout, p);
  switch (layout) {
    case Layout::nt:
      return runLayout<Layout::nt>(op, p);
    case Layout::nn:
      return runLayout<Layout::nn>(op, p);
    case Layout::tn:
      return launchTiles<Layout::tn, TileSize::small>(op, p);
  }
}

}  // namespace fl::cuda
