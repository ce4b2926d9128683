// A row of layerNorm and addLayerNorm, by the team of threads that has it: layer_norm.cu, and
// norm_low_rank.cu, which goes on with the rows.
#pragma once

#include "cuda/ops/rows.cuh"
#include "ops/add_layer_norm.h"
#include "ops/layer_norm.h"

namespace fl::cuda {

struct Norm {
  const float* x = nullptr;
  /// Null: the row is x; else it is residual + mask * x.
  const float* residual = nullptr;
  Mask mask;
  const float *gamma = nullptr, *beta = nullptr;
  float* y = nullptr;
  float* z = nullptr;      // [rows, cols]?: the row
  float* stats = nullptr;  // [rows, 2]?: mean, rstd
  float eps = 0;
  int64_t rows = 0, cols = 0;
};

template <class Team>
__device__ Quad inputQuad(const Norm& n, int64_t row, int64_t first) {
  Quad q = Team::load(n.x + row * n.cols, first, n.cols);
  if (n.mask.active) maskQuad(n.mask, row, first, q);
  if (n.residual) addQuad(q, Team::load(n.residual + row * n.cols, first, n.cols));
  return q;
}

template <class Team>
struct NormRow {
  __device__ static void run(const Norm& n, int64_t row) {
    const float inverseN = 1.0f / static_cast<float>(n.cols);
    Quad held[Team::kHeld];
    float sum = 0;
    Team::forQuads(n.cols, [&](int slot, int64_t first) {
      const Quad q = inputQuad<Team>(n, row, first);
      if (slot >= 0) held[slot] = q;
      if (n.z) Team::store(n.z + row * n.cols, first, n.cols, q);
#pragma unroll
      for (int j = 0; j < 4; j++) sum += q.v[j];
    });
    const float mean = inverseN * Team::sum(sum);

    float squares = 0;
    Team::forQuads(n.cols, [&](int slot, int64_t first) {
      const Quad q = slot >= 0 ? held[slot] : inputQuad<Team>(n, row, first);
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const float d = first + j < n.cols ? q.v[j] - mean : 0.0f;
        squares = fmaf(d, d, squares);
      }
    });
    const float rstd = 1.0f / sqrtf(inverseN * Team::sum(squares) + n.eps);
    if (n.stats && Team::member() == 0) {
      n.stats[2 * row] = mean;
      n.stats[2 * row + 1] = rstd;
    }

    Team::forQuads(n.cols, [&](int slot, int64_t first) {
      Quad q = slot >= 0 ? held[slot] : inputQuad<Team>(n, row, first);
      const Quad gamma = Team::load(n.gamma, first, n.cols), beta = Team::load(n.beta, first, n.cols);
#pragma unroll
      for (int j = 0; j < 4; j++) q.v[j] = fmaf((q.v[j] - mean) * rstd, gamma.v[j], beta.v[j]);
      Team::store(n.y + row * n.cols, first, n.cols, q);
    });
  }
};

inline Norm normOf(const AddLayerNormOp& op) {
  Norm n;
  n.x = op.x.as<float>();
  n.residual = op.residual.as<float>();
  n.mask = maskOf(op.dropout);
  n.gamma = op.gamma.as<float>();
  n.beta = op.beta.as<float>();
  n.y = op.y.as<float>();
  n.z = op.z.as<float>();
  n.stats = op.stats.as<float>();
  n.eps = static_cast<float>(op.eps);
  n.rows = op.x.rows();
  n.cols = op.x.cols();
  return n;
}

}  // namespace fl::cuda
