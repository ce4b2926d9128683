// What the attention kernels share: rows and the sequences they are in, tiles in shared memory, dot
// products of a warp's rows with its lanes' columns, dropout bits. Used by attention.cu and
// attention_backward.cu; how work is cut up: attention_tile.h.
#pragma once

#include "cuda/attention/attention_tile.h"
#include "cuda/device/launch.h"
#include "cuda/ops/mask.cuh"
#include "cuda/ops/shared.cuh"
#include "ops/attention.h"

namespace fl::cuda {

/// The batch and its sequences, as in ops/attention.h.
struct Ragged {
  const int32_t* cuSeqlens;
  /// Null: query i is token i.
  const int32_t* queryRows;
  int sequences;
  int64_t queries, tokens, hidden, numHeads;
  int headDim;
  float scale;
  Mask mask;

  __device__ int tokenOf(int64_t query) const { return queryRows ? queryRows[query] : static_cast<int>(query); }
};

template <class Op>
Ragged raggedOf(const char* name, const Op& op) {
  if (op.headDim > AttentionTile::kMostHeadDim)
    fail("INVALID_SHAPE", std::string(name) + ": heads of " + std::to_string(op.headDim) +
                              " features are too wide for device 'cuda' (at most " +
                              std::to_string(AttentionTile::kMostHeadDim) + "); use device 'cpu'");
  return {op.cuSeqlens.template as<int32_t>(),
          op.queryRows.present() ? op.queryRows.template as<int32_t>() : nullptr,
          static_cast<int>(op.numSequences),
          op.q.rows(),
          op.k.rows(),
          op.q.cols(),
          op.numHeads,
          static_cast<int>(op.headDim),
          static_cast<float>(op.scale),
          maskOf(op.dropout)};
}

/// Tiles of this many rows, heads.
inline dim3 attentionGrid(const char* op, AttentionTile tile, int64_t rows, const Ragged& r) {
  return dim3(blocks(op, ceilDivide(rows, tile.rows())), blocksDown(op, r.numHeads));
}

/// function.operator()<slots>() for the head dimension.
template <class Function>
void forAttentionSlots(const Ragged& r, const Function& function) {
  switch (attentionSlots(r.headDim)) {
    case 1:
      return function.template operator()<1>();
    case 2:
      return function.template operator()<2>();
    default:
      return function.template operator()<4>();
  }
}

/// function.operator()<slots, rowsPerWarp>() for tiles of queries.
template <class Function>
void forAttentionTile(const Ragged& r, const Function& function) {
  forAttentionSlots(r, [&]<int slots>() {
    if (r.queryRows)
      function.template operator()<slots, attentionRowsPerWarp(true)>();
    else
      function.template operator()<slots, attentionRowsPerWarp(false)>();
  });
}

/// Tokens begin .. end - 1 of a sequence; none where begin == end.
struct Interval {
  int begin, end;

  __device__ bool holds(int token) const { return token >= begin && token < end; }
  __device__ bool meets(int from, int to) const { return begin < to && from < end && begin < end; }
};

/// The sequence that `token` is in; none for a token past the last one.
__device__ inline Interval sequenceOf(const Ragged& r, int token) {
  int low = 0, high = r.sequences + 1;  // the first that begins after the token
  while (low < high) {
    const int middle = (low + high) / 2;
    if (r.cuSeqlens[middle] <= token)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == 0 || low > r.sequences) return {0, 0};
  return {r.cuSeqlens[low - 1], r.cuSeqlens[low]};
}

__device__ inline int warpMinimum(int value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    const int other = __shfl_xor_sync(0xFFFFFFFFu, value, distance);
    value = other < value ? other : value;
  }
  return value;
}

__device__ inline int warpMaximum(int value) { return -warpMinimum(-value); }

__device__ inline float warpSum(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(0xFFFFFFFFu, value, distance);
  return value;
}

__device__ inline float warpMaximum(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2)
    value = fmaxf(value, __shfl_xor_sync(0xFFFFFFFFu, value, distance));
  return value;
}

template <int slots, int rowsPerWarp>
struct AttentionTeam {
  static constexpr AttentionTile kTile{slots, rowsPerWarp};
  static constexpr int kRows = rowsPerWarp, kStride = kTile.stride();

  __device__ static int warp() { return static_cast<int>(threadIdx.x) / 32; }
  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }

  /// Rows first .. first + count - 1 of one head of a [limit, hidden] matrix; zero where there are
  /// none.
  template <int count>
  __device__ static void load(float* to, const float* head, int64_t first, int64_t limit, const Ragged& r) {
    constexpr int kQuads = 8 * slots;
    const bool whole = r.headDim % 4 == 0;
#pragma unroll
    for (int i = 0; i < static_cast<int>(ceilDivide(count * kQuads, AttentionTile::kThreads)); i++) {
      const int e = static_cast<int>(threadIdx.x) + i * AttentionTile::kThreads;
      if (e >= count * kQuads) break;
      const int row = e / kQuads, feature = e % kQuads * 4;
      float4 value = make_float4(0, 0, 0, 0);
      if (first + row < limit) {
        const float* const from = head + (first + row) * r.hidden + feature;
        if (whole) {
          if (feature < r.headDim) value = *reinterpret_cast<const float4*>(from);
        } else {
          if (feature < r.headDim) value.x = from[0];
          if (feature + 1 < r.headDim) value.y = from[1];
          if (feature + 2 < r.headDim) value.z = from[2];
          if (feature + 3 < r.headDim) value.w = from[3];
        }
      }
      *reinterpret_cast<float4*>(to + row * kStride + feature) = value;
    }
  }

  /// sum[i] = (row i of the warp) . (column of the lane), in the order of features whichever side
  /// is whose.
  __device__ static void dot(const float* rows, const float* column, float (&sum)[kRows]) {
#pragma unroll
    for (int i = 0; i < kRows; i++) sum[i] = 0;
#pragma unroll 2
    for (int feature = 0; feature < 32 * slots; feature += 4) {
      const float4 c = *reinterpret_cast<const float4*>(column + feature);
#pragma unroll
      for (int i = 0; i < kRows; i++) {
        const float4 a = *reinterpret_cast<const float4*>(rows + i * kStride + feature);
        sum[i] = fmaf(a.x, c.x, sum[i]);
        sum[i] = fmaf(a.y, c.y, sum[i]);
        sum[i] = fmaf(a.z, c.z, sum[i]);
        sum[i] = fmaf(a.w, c.w, sum[i]);
      }
    }
  }

  /// sum[i][s] += weights[i][j] columns[j][32 s + lane] for columns from <= j < to, in order; both
  /// are multiples of 4.
  __device__ static void addWeighted(const float* weights, const float* columns, int from, int to,
                                     float (&sum)[kRows][slots]) {
#pragma unroll 1
    for (int j = from; j < to; j += 4) {
      float c[4][slots];
#pragma unroll
      for (int n = 0; n < 4; n++)
#pragma unroll
        for (int s = 0; s < slots; s++) c[n][s] = columns[(j + n) * kStride + 32 * s + lane()];
#pragma unroll
      for (int i = 0; i < kRows; i++) {
        const float4 w = *reinterpret_cast<const float4*>(weights + i * AttentionTile::kColumns + j);
#pragma unroll
        for (int s = 0; s < slots; s++) {
          sum[i][s] = fmaf(w.x, c[0][s], sum[i][s]);
          sum[i][s] = fmaf(w.y, c[1][s], sum[i][s]);
          sum[i][s] = fmaf(w.z, c[2][s], sum[i][s]);
          sum[i][s] = fmaf(w.w, c[3][s], sum[i][s]);
        }
      }
    }
  }

  /// Writes a warp's rows, feature by feature; `head` as in load.
  __device__ static void store(float* head, int64_t first, int64_t limit, const Ragged& r,
                               const float (&value)[kRows][slots]) {
#pragma unroll
    for (int i = 0; i < kRows; i++)
#pragma unroll
      for (int s = 0; s < slots; s++) {
        const int feature = 32 * s + lane();
        if (first + i < limit && feature < r.headDim) head[(first + i) * r.hidden + feature] = value[i][s];
      }
  }
};

/// Bit b: feature 4 quad + b of this token is kept.
__device__ inline unsigned keptBits(const Mask& mask, int token, uint32_t quad) {
  const Philox4 words = mask.key.words(static_cast<uint32_t>(token), quad);
  unsigned bits = 0;
#pragma unroll
  for (int b = 0; b < 4; b++) bits |= static_cast<unsigned>(words.word[b] >= mask.threshold) << b;
  return bits;
}

/// The first feature of a head, in quads.
__device__ inline uint32_t firstQuad(int64_t head) { return static_cast<uint32_t>(head) * (65536 / 4); }

/// Rows that are queries, as a tile of the forward pass and of dq has them: where each one's
/// sequence is.
template <int slots, int rowsPerWarp>
struct QueryTile {
  using Team = AttentionTeam<slots, rowsPerWarp>;
  static constexpr int kTileRows = Team::kTile.rows();

  /// Of the whole tile, in shared memory; of this warp, in registers.
  const Interval* all;
  const int* tokens;
  Interval mine[rowsPerWarp];
  /// What the rows of the tile and of the warp reach over.
  Interval reach, warpReach;

  __device__ void find(const Ragged& r, int64_t first, Interval* sharedIntervals, int* sharedTokens) {
    all = sharedIntervals;
    tokens = sharedTokens;
    if (static_cast<int>(threadIdx.x) < kTileRows) {
      const int64_t query = first + threadIdx.x;
      const int token = query < r.queries ? r.tokenOf(query) : -1;
      sharedTokens[threadIdx.x] = token;
      sharedIntervals[threadIdx.x] = sequenceOf(r, token);
    }
    __syncthreads();
    const int lane = Team::lane();
    const bool one = lane < kTileRows;
    reach = reachOf(one ? all[lane] : Interval{0, 0});
    warpReach = reachOf(lane < rowsPerWarp ? all[Team::warp() * rowsPerWarp + lane] : Interval{0, 0});
#pragma unroll
    for (int i = 0; i < rowsPerWarp; i++) mine[i] = all[Team::warp() * rowsPerWarp + i];
  }

  /// Columns come in 32 from a multiple of 32 on, wherever the tile's sequences begin: a row's sums
  /// are then in the same order whatever other rows its tile has, and a query asked for alone gets
  /// the bits that it has among all.
  __device__ int firstColumn() const { return reach.begin & ~(AttentionTile::kColumns - 1); }

  /// Whether any row of the tile has something in columns from .. from + 31: the same answer in
  /// every thread.
  __device__ bool wants(int from) const {
    const int lane = Team::lane();
    return __any_sync(0xFFFFFFFFu, lane < kTileRows && all[lane].meets(from, from + AttentionTile::kColumns)) != 0;
  }
  __device__ bool warpWants(int from) const {
    bool any = false;
#pragma unroll
    for (int i = 0; i < rowsPerWarp; i++) any = any || mine[i].meets(from, from + AttentionTile::kColumns);
    return any;
  }

  /// Bit i: the warp's row i keeps the lane's column.
  __device__ unsigned kept(const Ragged& r, int64_t head, int from) const {
    constexpr int kRounds = (rowsPerWarp + 3) / 4;
    const int lane = Team::lane(), base = Team::warp() * rowsPerWarp;
    const auto bitsOf = [&](int row, int quad) {
      const int shifted = from - all[base + row].begin;
      return keptBits(r.mask, tokens[base + row], firstQuad(head) + static_cast<uint32_t>((shifted >> 2) + quad));
    };
    unsigned round[kRounds];
#pragma unroll
    for (int n = 0; n < kRounds; n++) {
      const int row = AttentionQuads::rowOf(n, lane);
      round[n] = bitsOf(row < rowsPerWarp ? row : rowsPerWarp - 1, AttentionQuads::quadOf(lane));
    }
    const unsigned last = bitsOf(lane < rowsPerWarp ? lane : rowsPerWarp - 1, AttentionQuads::kQuads);
    unsigned result = 0;
#pragma unroll
    for (int i = 0; i < rowsPerWarp; i++) {
      const AttentionQuads::Source source = AttentionQuads::source(i, lane, (from - mine[i].begin) & 3);
      const unsigned near = __shfl_sync(0xFFFFFFFFu, round[i / 4], source.last ? 0 : source.lane);
      const unsigned far = __shfl_sync(0xFFFFFFFFu, last, i);
      result |= ((source.last ? far : near) >> source.bit & 1) << i;
    }
    return result;
  }

 private:
  /// From the first begin to the last end of the lanes' sequences; lanes without one do not count.
  __device__ static Interval reachOf(Interval one) {
    const bool some = one.begin < one.end;
    const int begin = warpMinimum(some ? one.begin : 0x7FFFFFFF), end = warpMaximum(some ? one.end : 0);
    return {begin < end ? begin : end, end};
  }
};

}  // namespace fl::cuda
