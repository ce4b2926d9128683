// Values of NF4 weights in a kernel, expanded from four bits where they are used and not kept:
// for the tiles of product_nf4_f32.cu and product_nf4_bf16.cu. How they lie in memory:
// nf4_blocks.h.
#pragma once

#include <cuda_runtime.h>

#include "cuda/gemm/nf4_blocks.h"
#include "cuda/gemm/product_f32.h"
#include "cuda/gemm/tile_bf16.h"
#include "cuda/ptx/tensor_core.cuh"

namespace fl::cuda {

/// A block's copy of the tables, which its threads may read after a barrier.
__device__ inline void copyTables(float* shared, const Nf4Tables& tables) {
  for (int i = static_cast<int>(threadIdx.x); i < Nf4Tables::kCount; i += static_cast<int>(blockDim.x))
    shared[i] = tables.value[i];
}

struct Nf4Values {
  Nf4Blocks blocks;
  /// copyTables'.
  const float* table;

  __device__ float scaleOf(int64_t block) const {
    const float value = table[Nf4Tables::kCodes + blocks.scaleCodes[block]];
    return __fadd_rn(__fmul_rn(value, blocks.nested[block / nf4::kNestedBlock]), *blocks.mean);
  }
  __device__ float operator[](int64_t i) const {
    const unsigned pair = blocks.codes[i / 2], code = i % 2 == 0 ? pair >> 4 : pair & 15u;
    return __fmul_rn(table[code], scaleOf(i / nf4::kBlock));
  }

  /// Values first .. first + 7 in bf16, those from `count` on zero, to 16 bytes of shared memory.
  __device__ void expandChunk(int64_t first, int count, uint16_t* to) const {
    if (count <= 0) {
      *reinterpret_cast<uint4*>(to) = make_uint4(0, 0, 0, 0);
      return;
    }
    if (count >= 8 && first % 8 == 0) {
      // Four bytes of codes, and one scale: blocks begin at multiples of 64.
      const uint32_t word = *reinterpret_cast<const uint32_t*>(blocks.codes + first / 2);
      const float scale = scaleOf(first / nf4::kBlock);
      uint32_t packed[4];
#pragma unroll
      for (int i = 0; i < 4; i++)
        packed[i] =
            packBf16(__fmul_rn(table[word >> (8 * i + 4) & 15u], scale), __fmul_rn(table[word >> 8 * i & 15u], scale));
      *reinterpret_cast<uint4*>(to) = make_uint4(packed[0], packed[1], packed[2], packed[3]);
      return;
    }
#pragma unroll 1
    for (int i = 0; i < 8; i++) to[i] = static_cast<uint16_t>(packBf16(i < count ? (*this)[first + i] : 0.0f, 0.0f));
  }

  /// A slab of b in bf16 where a tile of product_tile_bf16.cuh has it: of W [cols, depth] (nt) or
  /// [depth, cols] (nn), from (firstCol, k0) on.
  template <Layout layout, TileSize size>
  __device__ void expandSlab(char* stage, int cols, int depth, int firstCol, int k0) const {
    constexpr TileBf16 tile = tileBf16(size);
    constexpr bool along = layout == Layout::nt;
    constexpr int kPerLine = (along ? TileBf16::kDepth : tile.cols) / 8;
    constexpr int kEach = tile.chunksOfB(false) / tile.threads();
    static_assert(kEach * tile.threads() == tile.chunksOfB(false));
    const int lines = along ? cols : depth, length = along ? depth : cols;
#pragma unroll 1
    for (int i = 0; i < kEach; i++) {
      const int e = static_cast<int>(threadIdx.x) + i * tile.threads(), line = e / kPerLine, chunk = e % kPerLine;
      const int row = (along ? firstCol : k0) + line, at = (along ? k0 : firstCol) + 8 * chunk;
      const int place = along ? placeInHalfRow(line, chunk) : placeInHalfStep(line, chunk, tile.cols);
      const int count = row < lines && at < length ? length - at : 0;
      expandChunk(int64_t{row} * length + at, count, reinterpret_cast<uint16_t*>(stage) + 8 * place);
    }
  }
};

}  // namespace fl::cuda
