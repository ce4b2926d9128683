// attentionBackward, P recomputed from the logsumexp of attention.cu, in two launches without
// atomics; tiles are loaded as attention_tile.cuh has it.
//   tiles of queries:  delta = sum_j P dP / sum_j P
//                      dq = scale (sum_j P dP k_j - delta sum_j P k_j)
//   tiles of keys:     dv = sum_i m P dy_i,  dk = scale sum_i P (dP - delta) q_i
// Delta is dy . y in exact arithmetic; as a quotient of sums of the same rounded P and dP, a row of
// dS sums to zero up to rounding, so that gradients which cancel (a key bias) stay small. The
// scores of both launches are the same bits.
#include "cuda/attention/attention_tile.cuh"
#include "cuda/ops.h"

namespace fl::cuda {
namespace {

struct Backward {
  Ragged batch;
  const float *dy, *q, *k, *v, *logsumexp;
  float *dq, *dk, *dv;
  float* delta;  // [queries, numHeads]
};

/// Grid: tiles of queries, heads.
template <int slots, int rowsPerWarp>
__global__ void __launch_bounds__(AttentionTile::kThreads) attentionQueryGradient(const Backward b) {
  using Team = AttentionTeam<slots, rowsPerWarp>;
  constexpr int kRows = rowsPerWarp, kTileRows = Team::kTile.rows(), kColumns = AttentionTile::kColumns;
  __shared__ Interval intervals[kTileRows];
  __shared__ int tokens[kTileRows];
  float* const sharedK = dynamicShared<float>();
  float* const sharedV = sharedK + kColumns * Team::kStride;
  float* const sharedQ = sharedV + kColumns * Team::kStride;
  float* const sharedDy = sharedQ + kTileRows * Team::kStride;
  float* const weights = sharedDy + kTileRows * Team::kStride + Team::warp() * 2 * kRows * kColumns;
  float* const weightsDP = weights + kRows * kColumns;

  const Ragged& r = b.batch;
  const int lane = Team::lane();
  const int64_t head = blockIdx.y, first = blockIdx.x * int64_t{kTileRows}, column = head * r.headDim;
  const int64_t firstOfWarp = first + Team::warp() * kRows;
  Team::template load<kTileRows>(sharedQ, b.q + column, first, r.queries, r);
  Team::template load<kTileRows>(sharedDy, b.dy + column, first, r.queries, r);
  QueryTile<slots, rowsPerWarp> tile;
  tile.find(r, first, intervals, tokens);
  float logsumexp[kRows];
#pragma unroll
  for (int i = 0; i < kRows; i++)
    logsumexp[i] = firstOfWarp + i < r.queries ? b.logsumexp[(firstOfWarp + i) * r.numHeads + head] : 0.0f;

  float sumPK[kRows][slots] = {}, sumPdPK[kRows][slots] = {}, sumP[kRows] = {}, sumPdP[kRows] = {};
#pragma unroll 1
  for (int from = tile.firstColumn(); from < tile.reach.end; from += kColumns) {
    if (!tile.wants(from)) continue;
    __syncthreads();  // the columns before have been read by all warps
    Team::template load<kColumns>(sharedK, b.k + column, from, r.tokens, r);
    Team::template load<kColumns>(sharedV, b.v + column, from, r.tokens, r);
    __syncthreads();
    if (!tile.warpWants(from)) continue;

    const int ofWarp = Team::warp() * kRows * Team::kStride;
    float score[kRows], dP[kRows];
    Team::dot(sharedQ + ofWarp, sharedK + lane * Team::kStride, score);
    Team::dot(sharedDy + ofWarp, sharedV + lane * Team::kStride, dP);
    const unsigned kept = r.mask.active ? tile.kept(r, head, from) : 0;
#pragma unroll
    for (int i = 0; i < kRows; i++) {
      const float p = tile.mine[i].holds(from + lane) ? expf(r.scale * score[i] - logsumexp[i]) : 0.0f;
      if (r.mask.active) dP[i] = kept >> i & 1 ? dP[i] * r.mask.keepScale : 0.0f;
      const float product = p * dP[i];
      sumP[i] += p;
      sumPdP[i] += product;
      weights[i * kColumns + lane] = p;
      weightsDP[i * kColumns + lane] = product;
    }
    __syncwarp();
    const int begin = tile.warpReach.begin - from, end = tile.warpReach.end - from;
    const int low = begin > 0 ? begin & ~3 : 0, high = end < kColumns ? end : kColumns;
    Team::addWeighted(weights, sharedK, low, high, sumPK);
    Team::addWeighted(weightsDP, sharedK, low, high, sumPdPK);
    __syncwarp();  // the weights have been read before the next ones are written
  }

#pragma unroll
  for (int i = 0; i < kRows; i++) {
    const bool any = tile.mine[i].begin < tile.mine[i].end;
    const float delta = any ? warpSum(sumPdP[i]) / warpSum(sumP[i]) : 0.0f;
    if (lane == 0 && firstOfWarp + i < r.queries) b.delta[(firstOfWarp + i) * r.numHeads + head] = delta;
#pragma unroll
    for (int s = 0; s < slots; s++) sumPdPK[i][s] = r.scale * fmaf(-delta, sumPK[i][s], sumPdPK[i][s]);
  }
  if (b.dq) Team::store(b.dq + column, firstOfWarp, r.queries, r, sumPdPK);
}

/// Grid: tiles of keys, heads. Rows are keys, lanes queries.
template <int slots>
__global__ void __launch_bounds__(AttentionTile::kThreads) attentionKeyGradient(const Backward b) {
  constexpr int kRows = attentionRowsPerWarp(false);
  using Team = AttentionTeam<slots, kRows>;
  constexpr int kTileRows = Team::kTile.rows(), kColumns = AttentionTile::kColumns;
  __shared__ Interval intervals[kTileRows];
  float* const sharedQ = dynamicShared<float>();
  float* const sharedDy = sharedQ + kColumns * Team::kStride;
  float* const sharedK = sharedDy + kColumns * Team::kStride;
  float* const sharedV = sharedK + kTileRows * Team::kStride;
  float* const weights = sharedV + kTileRows * Team::kStride + Team::warp() * 2 * kRows * kColumns;
  float* const weightsDS = weights + kRows * kColumns;

  const Ragged& r = b.batch;
  const int lane = Team::lane();
  const int64_t head = blockIdx.y, first = blockIdx.x * int64_t{kTileRows}, column = head * r.headDim;
  const int64_t firstOfWarp = first + Team::warp() * kRows;
  Team::template load<kTileRows>(sharedK, b.k + column, first, r.tokens, r);
  Team::template load<kTileRows>(sharedV, b.v + column, first, r.tokens, r);
  // The sequences of the tile follow each other: they reach from the first row's begin to the last
  // row's end.
  if (static_cast<int>(threadIdx.x) < kTileRows)
    intervals[threadIdx.x] =
        first + threadIdx.x < r.tokens ? sequenceOf(r, static_cast<int>(first + threadIdx.x)) : Interval{0, 0};
  __syncthreads();
  Interval mine[kRows];
#pragma unroll
  for (int i = 0; i < kRows; i++) mine[i] = intervals[Team::warp() * kRows + i];
  const Interval one = intervals[lane];
  static_assert(kTileRows == 32, "a lane for every row of the tile");
  const int begin = warpMinimum(one.begin < one.end ? one.begin : 0x7FFFFFFF), end = warpMaximum(one.end);

  float dk[kRows][slots] = {}, dv[kRows][slots] = {};
  // Token i is query i, or every query has to be looked at.
  const int64_t firstQuery = r.queryRows ? 0 : (begin < end ? begin : end) & ~(kColumns - 1);
  const int64_t lastQuery = r.queryRows ? r.queries : end;
#pragma unroll 1
  for (int64_t from = firstQuery; from < lastQuery; from += kColumns) {
    const int64_t query = from + lane;
    const int token = query < lastQuery ? r.tokenOf(query) : -1;
    // The same in all warps.
    if (__any_sync(0xFFFFFFFFu, token >= begin && token < end) == 0) continue;
    __syncthreads();  // as above
    Team::template load<kColumns>(sharedQ, b.q + column, from, r.queries, r);
    Team::template load<kColumns>(sharedDy, b.dy + column, from, r.queries, r);
    __syncthreads();
    // The sequence of this lane's query where a row of the warp is in it: its tokens are numbered
    // from there.
    int start = 0;
    unsigned inside = 0;
#pragma unroll
    for (int i = 0; i < kRows; i++)
      if (mine[i].holds(token)) {
        start = mine[i].begin;
        inside |= 1u << i;
      }
    if (__any_sync(0xFFFFFFFFu, inside != 0) == 0) continue;

    const int ofWarp = Team::warp() * kRows * Team::kStride;
    float score[kRows], dP[kRows];
    Team::dot(sharedK + ofWarp, sharedQ + lane * Team::kStride, score);
    Team::dot(sharedV + ofWarp, sharedDy + lane * Team::kStride, dP);
    unsigned kept = 0;
    if (r.mask.active && inside != 0) {
      // The warp's keys are neighbours: features from shift on, of three quads.
      const int relative = static_cast<int>(firstOfWarp) - start;
      const uint32_t quad = firstQuad(head) + static_cast<uint32_t>(relative >> 2);
#pragma unroll
      for (int n = 0; n < 3; n++) kept |= keptBits(r.mask, token, quad + static_cast<uint32_t>(n)) << 4 * n;
      kept >>= relative & 3;
    }
    const float logsumexp = inside != 0 ? b.logsumexp[query * r.numHeads + head] : 0.0f;
    const float delta = inside != 0 && b.dk ? b.delta[query * r.numHeads + head] : 0.0f;
#pragma unroll
    for (int i = 0; i < kRows; i++) {
      const float p = inside >> i & 1 ? expf(r.scale * score[i] - logsumexp) : 0.0f;
      const float keep = r.mask.active ? (kept >> i & 1 ? r.mask.keepScale : 0.0f) : 1.0f;
      weights[i * kColumns + lane] = keep * p;
      weightsDS[i * kColumns + lane] = p * (keep * dP[i] - delta);
    }
    __syncwarp();
    Team::addWeighted(weights, sharedDy, 0, kColumns, dv);
    Team::addWeighted(weightsDS, sharedQ, 0, kColumns, dk);
    __syncwarp();  // the weights have been read before the next ones are written
  }

#pragma unroll
  for (int i = 0; i < kRows; i++)
#pragma unroll
    for (int s = 0; s < slots; s++) dk[i][s] *= r.scale;
  if (b.dk) Team::store(b.dk + column, firstOfWarp, r.tokens, r, dk);
  if (b.dv) Team::store(b.dv + column, firstOfWarp, r.tokens, r, dv);
}

constexpr const char* kName = "attentionBackward";

}  // namespace

void attentionBackward(const OpCall& call) {
  const auto op = AttentionBackwardOp::bind(call);
  const Ragged batch = raggedOf(kName, op);
  const Device::Scratch scratch = Device::instance().scratch(batch.queries * batch.numHeads);
  const Backward b{batch,
                   op.dy.as<float>(),
                   op.q.as<float>(),
                   op.k.as<float>(),
                   op.v.as<float>(),
                   op.logsumexp.as<float>(),
                   op.dq.as<float>(),
                   op.dk.as<float>(),
                   op.dv.as<float>(),
                   scratch.data()};
  if (batch.queries > 0 && (b.dq || b.dk))
    forAttentionTile(batch, [&]<int slots, int rowsPerWarp>() {
      constexpr AttentionTile tile{slots, rowsPerWarp};
      launchShared(kName, attentionQueryGradient<slots, rowsPerWarp>, attentionGrid(kName, tile, batch.queries, batch),
                   AttentionTile::kThreads, tile.sharedBytes(2, 2), b);
    });
  if (batch.tokens > 0 && (b.dk || b.dv))
    forAttentionSlots(batch, [&]<int slots>() {
      constexpr AttentionTile tile{slots, attentionRowsPerWarp(false)};
      launchShared(kName, attentionKeyGradient<slots>, attentionGrid(kName, tile, batch.tokens, batch),
                   AttentionTile::kThreads, tile.sharedBytes(2, 2), b);
    });
}

}  // namespace fl::cuda
