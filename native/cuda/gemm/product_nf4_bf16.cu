// The products of product_bf16.h with W in NF4: a slab of W is expanded to bf16 on its way into
// shared memory, while the slabs before it are multiplied. fp32: product_nf4_f32.cu; what a block
// does besides: product_tile_bf16.cuh.
#include "cuda/device/launch.h"
#include "cuda/gemm/held_weights.h"
#include "cuda/gemm/nf4_values.cuh"
#include "cuda/gemm/product_tile_bf16.cuh"

namespace fl::cuda {
namespace {

constexpr TileBf16 kTile = tileBf16(TileSize::small);
/// The tables lie behind the stages.
constexpr size_t kSharedBytes = kTile.sharedBytes(false) + sizeof(Nf4Tables);

template <Layout layout, bool segmented>
__global__ void __launch_bounds__(kTile.threads(), kTile.blocksPerMultiprocessor)
    productNf4Bf16(const ProductBf16 p, const Nf4Blocks weight, const __grid_constant__ Nf4Tables tables) {
  auto* const table = reinterpret_cast<float*>(dynamicShared<char>() + kTile.sharedBytes(false));
  copyTables(table, tables);
  __syncthreads();
  productTile<layout, TileSize::small, segmented>(p, static_cast<int>(blockIdx.x), Nf4Values{weight, table});
}

template <Layout layout>
void runLayout(const char* op, const ProductBf16& p, const Nf4Blocks& weight) {
  const auto launchAll = [&](auto kernel, int64_t rowTiles) {
    launchShared(op, kernel, dim3(blocks(op, rowTiles * ceilDivide(p.cols, kTile.cols))), kTile.threads(), kSharedBytes,
                 p, weight, Nf4Tables::make());
  };
  if (p.segments.slots > 0)
    launchAll(productNf4Bf16<layout, true>, p.segments.mostTiles(kTile.rows));
  else
    launchAll(productNf4Bf16<layout, false>, ceilDivide(p.rows, kTile.rows));
}

}  // namespace

void runNf4(const char* op, Layout layout, const ProductBf16& p, const Nf4Blocks& weight) {
  if (layout == Layout::nt)
    runLayout<Layout::nt>(op, p, weight);
  else
    runLayout<Layout::nn>(op, p, weight);
}

}  // namespace fl::cuda
