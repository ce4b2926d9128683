// layerNorm, addLayerNorm: y = (z - mean) rstd gamma + beta with z = x, or residual + mask * x;
// contracts in ops/layer_norm.h and ops/add_layer_norm.h, rows of threads in rows.cuh.
// Backward, with xhat = (z - mean) rstd and g = dy gamma:
//   dz = rstd (g - mean_row(g) - xhat mean_row(g xhat)),  dx = mask * dz
//   dgamma += sum_rows dy xhat,  dbeta += sum_rows dy
//
// A row is read once and kept in registers; quads that do not fit are made again in each pass.
#include "ops/layer_norm.h"

#include "cuda/ops.h"
#include "cuda/ops/column_sums.cuh"
#include "cuda/ops/layer_norm.cuh"

namespace fl::cuda {
namespace {

struct NormBackward {
  const float *dy = nullptr, *z = nullptr, *gamma = nullptr, *stats = nullptr;
  float* dz = nullptr;  // [rows, cols]?
  float* dx = nullptr;  // [rows, cols]?: mask * dz
  Mask mask;
  float *dgamma = nullptr, *dbeta = nullptr;  // [cols]?
  int64_t rows = 0, cols = 0;
};

struct NormTerms {
  Quad g, xhat;
};

/// g and xhat of a quad; past the end of the row g is 0.
template <class Team>
__device__ NormTerms termsQuad(const NormBackward& n, int64_t row, int64_t first, float mean, float rstd) {
  NormTerms t{Team::load(n.dy + row * n.cols, first, n.cols), Team::load(n.z + row * n.cols, first, n.cols)};
  const Quad gamma = Team::load(n.gamma, first, n.cols);
#pragma unroll
  for (int j = 0; j < 4; j++) {
    t.g.v[j] *= gamma.v[j];
    t.xhat.v[j] = (t.xhat.v[j] - mean) * rstd;
  }
  return t;
}

template <class Team>
struct NormBackwardRow {
  __device__ static void run(const NormBackward& n, int64_t row) {
    const float inverseN = 1.0f / static_cast<float>(n.cols);
    const float mean = n.stats[2 * row], rstd = n.stats[2 * row + 1];
    NormTerms held[Team::kHeld];
    float sumG = 0, sumGX = 0;
    Team::forQuads(n.cols, [&](int slot, int64_t first) {
      const NormTerms t = termsQuad<Team>(n, row, first, mean, rstd);
      if (slot >= 0) held[slot] = t;
#pragma unroll
      for (int j = 0; j < 4; j++) {
        sumG += t.g.v[j];
        sumGX = fmaf(t.g.v[j], t.xhat.v[j], sumGX);
      }
    });
    const float meanG = inverseN * Team::sum(sumG), meanGX = inverseN * Team::sum(sumGX);

    Team::forQuads(n.cols, [&](int slot, int64_t first) {
      const NormTerms t = slot >= 0 ? held[slot] : termsQuad<Team>(n, row, first, mean, rstd);
      Quad dz;
#pragma unroll
      for (int j = 0; j < 4; j++) dz.v[j] = rstd * (t.g.v[j] - meanG - t.xhat.v[j] * meanGX);
      if (n.dz) Team::store(n.dz + row * n.cols, first, n.cols, dz);
      if (n.dx == nullptr) return;
      if (n.mask.active) maskQuad(n.mask, row, first, dz);
      Team::store(n.dx + row * n.cols, first, n.cols, dz);
    });
  }
};

/// Terms of dgamma and dbeta.
struct ParameterTerms {
  static constexpr int kSums = 2;
  const float *dy, *z, *stats;
  int64_t cols;

  __device__ void add(int64_t row, int64_t col, float (&sum)[kSums]) const {
    const float g = dy[row * cols + col], xhat = (z[row * cols + col] - stats[2 * row]) * stats[2 * row + 1];
    sum[0] = fmaf(g, xhat, sum[0]);
    sum[1] += g;
  }
};

void run(const char* op, const Norm& norm) { forRows<NormRow>(op, norm.rows, norm.cols, norm); }

/// The sums come first: dz or dx may take the place of dy.
void run(const char* op, const NormBackward& n) {
  if (n.dgamma || n.dbeta)
    addColumnSums(op, ParameterTerms{n.dy, n.z, n.stats, n.cols}, n.rows, n.cols, {{n.dgamma, n.dbeta}});
  if (n.dz || n.dx) forRows<NormBackwardRow>(op, n.rows, n.cols, n);
}

}  // namespace

void layerNorm(const OpCall& call) {
  const auto op = LayerNormOp::bind(call);
  Norm n;
  n.x = op.x.as<float>();
  n.gamma = op.gamma.as<float>();
  n.beta = op.beta.as<float>();
  n.y = op.y.as<float>();
  n.stats = op.stats.as<float>();
  n.eps = static_cast<float>(op.eps);
  n.rows = op.x.rows();
  n.cols = op.x.cols();
  run("layerNorm", n);
}

void addLayerNorm(const OpCall& call) { run("addLayerNorm", normOf(AddLayerNormOp::bind(call))); }

void layerNormBackward(const OpCall& call) {
  const auto op = LayerNormBackwardOp::bind(call);
  NormBackward n;
  n.dy = op.dy.as<float>();
  n.z = op.x.as<float>();
  n.gamma = op.gamma.as<float>();
  n.stats = op.stats.as<float>();
  n.dz = op.dx.as<float>();
  n.dgamma = op.dgamma.as<float>();
  n.dbeta = op.dbeta.as<float>();
  n.rows = op.x.rows();
  n.cols = op.x.cols();
  run("layerNormBackward", n);
}

void addLayerNormBackward(const OpCall& call) {
  const auto op = AddLayerNormBackwardOp::bind(call);
  NormBackward n;
  n.dy = op.dy.as<float>();
  n.z = op.z.as<float>();
  n.gamma = op.gamma.as<float>();
  n.stats = op.stats.as<float>();
  n.dz = op.dresidual.as<float>();
  n.dx = op.dx.as<float>();
  n.mask = maskOf(op.dropout);
  n.dgamma = op.dgamma.as<float>();
  n.dbeta = op.dbeta.as<float>();
  n.rows = op.z.rows();
  n.cols = op.z.cols();
  run("addLayerNormBackward", n);
}

}  // namespace fl::cuda
