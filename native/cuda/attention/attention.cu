// attention: S = scale q k^T,  y = (mask softmax(S)) v, a running softmax over columns of 32 keys
// (Milakov and Gimelshein 2018; Dao et al. 2022). The gradient is in attention_backward.cu.
//
// Per row: m the largest score so far, l the sum of exp(S - m), y the weighted sum; all three are
// rescaled when m grows. Each lane adds up its own share of l; one tree over the lanes at the end.
#include "cuda/attention/attention_tile.cuh"
#include "cuda/ops.h"

namespace fl::cuda {
namespace {

struct Forward {
  Ragged batch;
  const float *q, *k, *v;
  float *y, *logsumexp;
};

/// Grid: tiles of queries, heads.
template <int slots, int rowsPerWarp>
__global__ void __launch_bounds__(AttentionTile::kThreads) attentionForward(const Forward f) {
  using Team = AttentionTeam<slots, rowsPerWarp>;
  constexpr int kRows = rowsPerWarp, kTileRows = Team::kTile.rows(), kColumns = AttentionTile::kColumns;
  __shared__ Interval intervals[kTileRows];
  __shared__ int tokens[kTileRows];
  float* const sharedK = dynamicShared<float>();
  float* const sharedV = sharedK + kColumns * Team::kStride;
  float* const sharedQ = sharedV + kColumns * Team::kStride;
  float* const weights = sharedQ + kTileRows * Team::kStride + Team::warp() * kRows * kColumns;
  const float* const rows = sharedQ + Team::warp() * kRows * Team::kStride;

  const Ragged& r = f.batch;
  const int lane = Team::lane();
  const int64_t head = blockIdx.y, first = blockIdx.x * int64_t{kTileRows}, column = head * r.headDim;
  Team::template load<kTileRows>(sharedQ, f.q + column, first, r.queries, r);
  QueryTile<slots, rowsPerWarp> tile;
  tile.find(r, first, intervals, tokens);

  float y[kRows][slots] = {}, largest[kRows], sum[kRows] = {};
#pragma unroll
  for (int i = 0; i < kRows; i++) largest[i] = -INFINITY;

#pragma unroll 1
  for (int from = tile.firstColumn(); from < tile.reach.end; from += kColumns) {
    if (!tile.wants(from)) continue;
    __syncthreads();  // the columns before have been read by all warps
    Team::template load<kColumns>(sharedK, f.k + column, from, r.tokens, r);
    Team::template load<kColumns>(sharedV, f.v + column, from, r.tokens, r);
    __syncthreads();
    if (!tile.warpWants(from)) continue;

    float score[kRows];
    Team::dot(rows, sharedK + lane * Team::kStride, score);
    const unsigned kept = r.mask.active ? tile.kept(r, head, from) : 0;
#pragma unroll
    for (int i = 0; i < kRows; i++) {
      const bool inside = tile.mine[i].holds(from + lane);
      score[i] = inside ? r.scale * score[i] : -INFINITY;
      const float before = largest[i];
      largest[i] = fmaxf(before, warpMaximum(score[i]));
      // Nothing seen yet: -inf - -inf would be NaN.
      const float shrink = largest[i] == before ? 1.0f : expf(before - largest[i]);
      const float p = inside ? expf(score[i] - largest[i]) : 0.0f;
      sum[i] = fmaf(sum[i], shrink, p);
#pragma unroll
      for (int s = 0; s < slots; s++) y[i][s] *= shrink;
      weights[i * kColumns + lane] = r.mask.active ? (kept >> i & 1 ? p * r.mask.keepScale : 0.0f) : p;
    }
    __syncwarp();
    const int begin = tile.warpReach.begin - from, end = tile.warpReach.end - from;
    Team::addWeighted(weights, sharedV, begin > 0 ? begin & ~3 : 0, end < kColumns ? end : kColumns, y);
    __syncwarp();  // the weights have been read before the next ones are written
  }

  const int64_t firstOfWarp = first + Team::warp() * kRows;
#pragma unroll
  for (int i = 0; i < kRows; i++) {
    const float total = warpSum(sum[i]);
    const bool any = tile.mine[i].begin < tile.mine[i].end;
#pragma unroll
    for (int s = 0; s < slots; s++) y[i][s] = any ? y[i][s] / total : 0.0f;
    if (f.logsumexp && lane == 0 && firstOfWarp + i < r.queries)
      f.logsumexp[(firstOfWarp + i) * r.numHeads + head] = any ? largest[i] + logf(total) : 0.0f;
  }
  Team::store(f.y + column, firstOfWarp, r.queries, r, y);
}

}  // namespace

void attention(const OpCall& call) {
  const auto op = AttentionOp::bind(call);
  const Forward f{raggedOf("attention", op), op.q.as<float>(), op.k.as<float>(),
                  op.v.as<float>(),          op.y.as<float>(), op.logsumexp.as<float>()};
  if (f.batch.queries == 0) return;
  forAttentionTile(f.batch, [&]<int slots, int rowsPerWarp>() {
    constexpr AttentionTile tile{slots, rowsPerWarp};
    launchShared("attention", attentionForward<slots, rowsPerWarp>,
                 attentionGrid("attention", tile, f.batch.queries, f.batch), AttentionTile::kThreads,
                 tile.sharedBytes(1, 1), f);
  });
}

}  // namespace fl::cuda
