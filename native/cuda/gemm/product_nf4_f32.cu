// The products of product_f32.h with W in NF4: its values are expanded as a thread takes its part
// of a slab. bf16: product_nf4_bf16.cu; what a block does besides: product_tile_f32.cuh.
#include "cuda/device/launch.h"
#include "cuda/gemm/held_weights.h"
#include "cuda/gemm/nf4_values.cuh"
#include "cuda/gemm/product_tile_f32.cuh"

namespace fl::cuda {
namespace {

constexpr TileShape kShape = shapeOf(Tile::medium);

template <Layout layout, bool segmented>
__global__ void __launch_bounds__(kShape.threads())
    productNf4(const Product p, const Nf4Blocks weight, const __grid_constant__ Nf4Tables tables) {
  __shared__ float table[Nf4Tables::kCount];
  copyTables(table, tables);
  __syncthreads();
  multiplyTile<layout, Tile::medium, segmented>(p, Nf4Values{weight, table});
}

template <Layout layout>
void runLayout(const char* op, const Product& p, const Nf4Blocks& weight) {
  const auto launchAll = [&](auto kernel, int64_t tiles) {
    launch(op, kernel, dim3(blocks(op, tiles)), kShape.threads(), p, weight, Nf4Tables::make());
  };
  if (p.segments.slots > 0)
    launchAll(productNf4<layout, true>, p.segments.mostTiles(kShape.rows) * ceilDivide(p.cols, kShape.cols));
  else
    launchAll(productNf4<layout, false>, tileCount(Tile::medium, p.rows, p.cols));
}

}  // namespace

void runNf4(const char* op, Layout layout, const Product& p, const Nf4Blocks& weight) {
  if (layout == Layout::nt)
    runLayout<Layout::nt>(op, p, weight);
  else
    runLayout<Layout::nn>(op, p, weight);
}

}  // namespace fl::cuda
