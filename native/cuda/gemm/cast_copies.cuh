// bf16 copies of fp32 matrices, for products that read them many times: rows padded with zeros to
// whole chunks of 16 bytes. Copies of weights are kept by cast_weights.cu, factors of adapters and
// activations cast in low_rank_bf16.cu or by themselves.
#pragma once

#include "cuda/gemm/tile_bf16.h"
#include "cuda/ptx/tensor_core.cuh"

namespace fl::cuda {

struct Cast {
  int64_t rows = 0;
  int cols = 0;
  const float* from = nullptr;
  uint16_t* to = nullptr;  // [rows, paddedColsBf16(cols)]

  static constexpr int kChunk = 8;
  __host__ __device__ int64_t chunks() const { return rows * (paddedColsBf16(cols) / kChunk); }
};

__device__ inline void castChunk(const Cast& c, int64_t chunk) {
  const int perRow = paddedColsBf16(c.cols) / Cast::kChunk;
  const int64_t row = chunk / perRow;
  const int col = static_cast<int>(chunk % perRow) * Cast::kChunk;
  const float* const from = c.from + row * c.cols + col;
  float value[Cast::kChunk];
#pragma unroll
  for (int i = 0; i < Cast::kChunk; i++) value[i] = col + i < c.cols ? from[i] : 0.0f;
  *reinterpret_cast<uint4*>(c.to + chunk * Cast::kChunk) =
      make_uint4(packBf16(value[0], value[1]), packBf16(value[2], value[3]), packBf16(value[4], value[5]),
                 packBf16(value[6], value[7]));
}

/// Several, for one launch: chunks of all count on.
struct Casts {
  static constexpr int kMost = 3;
  int count = 0;
  Cast each[kMost];

  void add(const Cast& cast) { each[count++] = cast; }
  __host__ __device__ int64_t chunks() const {
    int64_t sum = 0;
    for (int i = 0; i < kMost; i++) sum += i < count ? each[i].chunks() : 0;
    return sum;
  }
};

__device__ inline void castChunk(const Casts& casts, int64_t chunk) {
#pragma unroll
  for (int i = 0; i < Casts::kMost; i++) {
    if (i >= casts.count) return;
    const int64_t chunks = casts.each[i].chunks();
    if (chunk < chunks) return castChunk(casts.each[i], chunk);
    chunk -= chunks;
  }
}

}  // namespace fl::cuda
