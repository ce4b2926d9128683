// A tile of lora_gemm_sm90a.h, persistent and warp-specialised. One thread of the first warpgroup
// brings slabs of 64 steps of both operands with the copy engine into a ring of stages; two
// consumer warpgroups multiply them (wgmma), each for half of a tile, or in turns for tiles of
// their own, so that one stores while the other multiplies. Two blocks that share a weight tile
// form a cluster, each brings half of it to both.
//
// Barriers of a stage: `full` (its bytes have arrived), `empty` (all consumers of the cluster that
// read it have).
//
// Each tile is compiled in a file of its own (lora_gemm_wide.cu and its like): ptxas takes long for
// an epilogue that is all registers.
#pragma once

#include "cuda/device/launch.h"
#include "cuda/gemm/tile_bf16.h"
#include "cuda/hopper/bulk_copy.cuh"
#include "cuda/hopper/cluster.cuh"
#include "cuda/hopper/lora_gemm_sm90a.h"
#include "cuda/hopper/lora_gemm_tiles.h"
#include "cuda/hopper/schedule.h"
#include "cuda/hopper/wgmma.cuh"
#include "cuda/ops/activation.cuh"
#include "cuda/ops/shared.cuh"
#include "cuda/ptx/tensor_core.cuh"

namespace fl::cuda::hopper {

struct Maps {
  TensorMap x, w, a, u, b, out, preActivation;
};

template <bool depthContiguous, TileName name, int extraCols>
struct Team {
  static constexpr TileSm90a kTile = tileOf(name);
  static constexpr int kStages = kTile.stagesThatFit(depthContiguous, extraCols);
  static constexpr int kStageBytes = kTile.stageBytes(depthContiguous, extraCols), kBytesOfX = kTile.bytesOfX();
  static constexpr int kBytesOfColumns = kTile.bytesOfWeight(depthContiguous, 0);
  /// Blocks of 64 rows of one consumer.
  static constexpr int kBlocks = kTile.groupRows / 64;
  static constexpr int kCols = kTile.cols, kAllCols = kCols + extraCols;
  using Sums = float[kBlocks][kAllCols / 2];

  /// Which stage of the ring, and the parity of its phase.
  struct Ring {
    int stage = 0;
    uint32_t parity = 0;

    __device__ void advance(int stages, int by = 1) {
      stage += by;
      while (stage >= stages) {
        stage -= stages;
        parity ^= 1;
      }
    }
  };

  struct Barriers {
    SharedBarrier full[kStages], empty[kStages], turn[kConsumers];
  };
  char* stages;
  char* boxes;
  Barriers* barriers;

  __device__ explicit Team(char* shared) {
    const uint32_t past = sharedAddress(shared) % kAtomBytes;
    stages = shared + (past == 0 ? 0 : kAtomBytes - past);
    boxes = stages + kStages * kStageBytes;
    barriers = reinterpret_cast<Barriers*>(boxes + TileSm90a::resultBytes());
  }

  __device__ void init() {
    for (int s = 0; s < kStages; s++) {
      barriers->full[s].init(1);
      barriers->empty[s].init((kTile.pingPong ? 1 : kConsumers) * kTile.cluster);
    }
    for (int c = 0; c < kConsumers; c++) barriers->turn[c].init(1);
    fenceBarriers();
  }

  /// The slabs of a tile: of x and the weight, then of u and b.
  struct Slabs {
    int main, adapter;
    __device__ int count() const { return main + adapter; }
  };
  __device__ static Slabs slabsOf(const LoraGemm& g) {
    return {(g.depth + kSlab - 1) / kSlab, (g.rank + kSlab - 1) / kSlab};
  }

  /// Columns col .. of a weight's slab, each block of the cluster its share to all.
  __device__ static void loadColumns(const TensorMap& map, char* to, SharedBarrier& full, int col, int k, int rank) {
    constexpr auto kAll = static_cast<uint16_t>((1 << kTile.cluster) - 1);
    if constexpr (depthContiguous) {
      constexpr int kShare = kCols / kTile.cluster;
      char* const place = to + rank * kShare * kLineBytes;
      if constexpr (kTile.cluster == 1)
        loadBox(map, place, full, col, k);
      else
        loadBoxInto(kAll, map, place, full, col + rank * kShare, k);
    } else {
      constexpr int kShare = kSlab / kTile.cluster;
      for (int box = 0; box < kCols / 64; box++) {
        char* const place = to + box * kBoxBytes + rank * kShare * kLineBytes;
        if constexpr (kTile.cluster == 1)
          loadBox(map, place, full, k, col + 64 * box);
        else
          loadBoxInto(kAll, map, place, full, k + rank * kShare, col + 64 * box);
      }
    }
  }

  __device__ void produce(const Maps& maps, const LoraGemm& g, const TileWalk& walk, int firstItem, int step,
                          int rank) {
    Ring ring;
    for (int item = firstItem; item < walk.items(); item += step) {
      const auto place = walk.place(item, rank);
      const int row = place.rowTile * kTile.rows(), col = place.colTile * kCols;
      const Slabs slabs = slabsOf(g);
      for (int slab = 0; slab < slabs.count(); slab++, ring.advance(kStages)) {
        SharedBarrier& full = barriers->full[ring.stage];
        char* const stage = stages + ring.stage * kStageBytes;
        barriers->empty[ring.stage].wait(ring.parity ^ 1);
        if (slab < slabs.main) {
          const int k = slab * kSlab;
          full.arriveExpecting(kStageBytes);
          loadBox(maps.x, stage, full, row, k);
          loadColumns(maps.w, stage + kBytesOfX, full, col, k, rank);
          if constexpr (extraCols > 0) {
            static_assert(depthContiguous);
            loadBox(maps.a, stage + kBytesOfX + kBytesOfColumns, full, 0, k);
          }
        } else {
          const int i = (slab - slabs.main) * kSlab;
          full.arriveExpecting((extraCols > 0 ? 0 : kBytesOfX) + kBytesOfColumns);
          if constexpr (extraCols == 0) loadBox(maps.u, stage, full, row, i);
          loadColumns(maps.b, stage + kBytesOfX, full, col, i, rank);
        }
      }
    }
  }

  __device__ void release(int stage) {
    if (threadIdx.x % 128 != 0) return;
    if constexpr (kTile.cluster == 1)
      barriers->empty[stage].arrive();
    else
      for (int rank = 0; rank < kTile.cluster; rank++) barriers->empty[stage].arriveAt(rank);
  }

  __device__ static uint64_t weightAt(uint32_t address, int step) {
    return depthContiguous ? alongDepth(address, step) : acrossDepth(address, step);
  }

  /// Adds `steps` steps of a stage; `fresh`: instead of adding to what is there.
  template <int steps>
  __device__ void multiplyStage(Sums& sum, int stage, int consumer, bool fresh) {
    const uint32_t x = sharedAddress(stages + stage * kStageBytes) +
                       static_cast<uint32_t>(kTile.pingPong ? 0 : consumer * kTile.groupRows * kLineBytes);
    const uint32_t w = sharedAddress(stages + stage * kStageBytes) + kBytesOfX;
    beginProducts();
#pragma unroll
    for (int step = 0; step < steps; step++)
#pragma unroll
      for (int block = 0; block < kBlocks; block++)
        multiply<kAllCols, !depthContiguous>(sum[block], alongDepth(x + block * kBoxBytes, step), weightAt(w, step),
                                             !(fresh && step == 0));
    endProducts();
  }

  /// The slab of an adapter, of which `left` ranks are left: one step for each 16.
  __device__ void multiplyAdapter(Sums& sum, int stage, int consumer, int left) {
    if (left > 48)
      multiplyStage<4>(sum, stage, consumer, false);
    else if (left > 32)
      multiplyStage<3>(sum, stage, consumer, false);
    else if (left > 16)
      multiplyStage<2>(sum, stage, consumer, false);
    else
      multiplyStage<1>(sum, stage, consumer, false);
  }

  /// u of the last extraCols columns, rounded, as the left operand of u b; stores it in fp32 where
  /// this is the first column.
  __device__ static void takeU(uint32_t (&u)[kBlocks][extraCols / 4 + 1], const Sums& sum, const LoraGemm& g, int row,
                               bool stores) {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32 % 4;
#pragma unroll
    for (int block = 0; block < kBlocks; block++)
#pragma unroll
      for (int i = 0; i < extraCols / 4; i++) {
        // Word i: rows g or g + 8 (i % 2), columns 8 (i / 2) + 2 q and the next.
        const int at = kCols / 2 + 2 * i;
        const float low = g.scaling * sum[block][at], high = g.scaling * sum[block][at + 1];
        u[block][i] = packBf16(low, high);
        const int r = row + 64 * block + 16 * warp + lane / 4 + i % 2 * 8, c = i / 2 * 8 + lane % 4 * 2;
        if (!stores || r >= g.rows) continue;
        float* const to = g.madeU + int64_t{r} * g.rank + c;
        if (c < g.rank) to[0] = low;
        if (c + 1 < g.rank) to[1] = high;
      }
  }

  /// Two neighbours of row r, zero outside; rows begin on 8 bytes.
  __device__ static float2 pairAt(const float* from, const LoraGemm& g, int r, int c) {
    if (r >= g.rows || c >= g.cols) return make_float2(0, 0);
    return *reinterpret_cast<const float2*>(from + int64_t{r} * g.cols + c);
  }

  /// Box `box` of 32 columns of a block leaves through shared memory; `z[4 j + 2 h + i]`: row g + 8
  /// h, column 8 j + 2 q + i.
  __device__ void store(const TensorMap& map, int consumer, int& turn, int row, int col, const float* z) {
    const int thread = static_cast<int>(threadIdx.x) % 128, lane = thread % 32;
    char* const place = boxes + (2 * consumer + turn % 2) * kBoxBytes;
    turn++;
    if (thread == 0) waitForReads<1>();
    warpgroupBarrier(1 + consumer);
    const int first = storedFirst(lane / 4);
#pragma unroll
    for (int h = 0; h < 2; h++) {
      float2 pair[4];
#pragma unroll
      for (int j = 0; j < 4; j++) pair[j] = make_float2(z[4 * j + 2 * h], z[4 * j + 2 * h + 1]);
        // pair[j] becomes that of columns 8 (j xor first).
#pragma unroll
      for (int j = 0; j < 4; j += 2) exchange(pair[j], pair[j + 1], (first & 1) != 0);
#pragma unroll
      for (int j = 0; j < 2; j++) exchange(pair[j], pair[j + 2], (first & 2) != 0);
      const int line = thread / 32 * 16 + lane / 4 + 8 * h;
#pragma unroll
      for (int j = 0; j < 4; j++)
        *reinterpret_cast<float2*>(place + swizzled(resultAddress(line, j ^ first, lane % 4))) = pair[j];
    }
    fenceForCopies();
    warpgroupBarrier(1 + consumer);
    if (thread == 0) {
      storeBox(map, place, row, col);
      endStores();
    }
  }

  __device__ static void exchange(float2& a, float2& b, bool really) {
    const float2 before = a;
    a = make_float2(really ? b.x : a.x, really ? b.y : a.y);
    b = make_float2(really ? before.x : b.x, really ? before.y : b.y);
  }

  __device__ void finish(const Maps& maps, const LoraGemm& g, Sums& sum, int consumer, int& turn, int row, int col) {
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32 % 4;
#pragma unroll
    for (int block = 0; block < kBlocks; block++)
#pragma unroll
      for (int box = 0; box < kCols / kResultCols; box++) {
        const int firstRow = row + 64 * block, firstCol = col + kResultCols * box;
        if (firstRow >= g.rows || firstCol >= g.cols) continue;
        const auto rowOf = [&](int h) { return firstRow + 16 * warp + lane / 4 + 8 * h; };
        const auto colOf = [&](int j) { return firstCol + 8 * j + lane % 4 * 2; };
        float* const z = sum[block] + kResultCols / 2 * box;  // z[4 j + 2 h + i]
        // Bias, activation and preActivation are a forward pass's, slopeAt is a backward pass's.
        if (depthContiguous && g.bias) {
#pragma unroll
          for (int j = 0; j < 4; j++) {
            const float2 bias =
                colOf(j) < g.cols ? *reinterpret_cast<const float2*>(g.bias + colOf(j)) : make_float2(0, 0);
#pragma unroll
            for (int h = 0; h < 2; h++) {
              z[4 * j + 2 * h] += bias.x;
              z[4 * j + 2 * h + 1] += bias.y;
            }
          }
        }
        if (depthContiguous && g.preActivation) store(maps.preActivation, consumer, turn, firstRow, firstCol, z);
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
          for (int h = 0; h < 2; h++) {
            float& low = z[4 * j + 2 * h];
            float& high = z[4 * j + 2 * h + 1];
            if (!depthContiguous && g.slopeAt) {
              const float2 at = pairAt(g.slopeAt, g, rowOf(h), colOf(j));
              low = __fmul_rn(low, activationSlope(g.activation, at.x));
              high = __fmul_rn(high, activationSlope(g.activation, at.y));
            } else if (depthContiguous && g.activation != Activation::none) {
              low = activate(g.activation, low);
              high = activate(g.activation, high);
            }
            if (g.residual) {
              const float2 residual = pairAt(g.residual, g, rowOf(h), colOf(j));
              low += residual.x;
              high += residual.y;
            }
          }
        store(maps.out, consumer, turn, firstRow, firstCol, z);
      }
  }

  __device__ void consume(const Maps& maps, const LoraGemm& g, const TileWalk& walk, int firstItem, int step, int rank,
                          int consumer) {
    Ring ring;
    int turn = 0;
    uint32_t round = 0;
    for (int item = firstItem, number = 0; item < walk.items(); item += step, number++) {
      const auto place = walk.place(item, rank);
      const int tileRow = place.rowTile * kTile.rows(), col = place.colTile * kCols;
      const int row = tileRow + (kTile.pingPong ? 0 : consumer * kTile.groupRows);
      const Slabs slabs = slabsOf(g);
      if (kTile.pingPong && number % kConsumers != consumer) {
        ring.advance(kStages, slabs.count());
        continue;
      }
      if constexpr (kTile.pingPong) {
        // The first consumer begins, then they alternate: its first turn is the phase before the
        // first.
        barriers->turn[consumer].wait(consumer == 0 ? (round & 1) ^ 1 : round & 1);
        round++;
      }
      Sums sum;
      int before = -1;
      for (int slab = 0; slab < slabs.main; slab++, ring.advance(kStages)) {
        barriers->full[ring.stage].wait(ring.parity);
        multiplyStage<kSlab / kStep>(sum, ring.stage, consumer, slab == 0);
        if (before >= 0) {
          waitForProducts<1>();
          release(before);
        }
        before = ring.stage;
      }
      if constexpr (extraCols > 0) {
        waitForProducts<0>();
        release(before);
        uint32_t u[kBlocks][extraCols / 4 + 1];
        takeU(u, sum, g, row, col == 0);
        barriers->full[ring.stage].wait(ring.parity);
        const uint32_t b = sharedAddress(stages + ring.stage * kStageBytes) + kBytesOfX;
        beginProducts();
#pragma unroll
        for (int k = 0; k < extraCols / kStep; k++)
#pragma unroll
          for (int block = 0; block < kBlocks; block++) {
            const uint32_t left[4] = {u[block][4 * k], u[block][4 * k + 1], u[block][4 * k + 2], u[block][4 * k + 3]};
            multiplyFrom<kCols, !depthContiguous>(sum[block], left, weightAt(b, k));
          }
        endProducts();
        before = ring.stage;
        ring.advance(kStages);
      } else {
        for (int slab = slabs.main; slab < slabs.count(); slab++, ring.advance(kStages)) {
          barriers->full[ring.stage].wait(ring.parity);
          multiplyAdapter(sum, ring.stage, consumer, g.rank - (slab - slabs.main) * kSlab);
          waitForProducts<1>();
          release(before);
          before = ring.stage;
        }
      }
      if (kTile.pingPong && threadIdx.x % 128 == 0) barriers->turn[1 - consumer].arrive();
      waitForProducts<0>();
      release(before);
      finish(maps, g, sum, consumer, turn, row, col);
    }
    if (threadIdx.x % 128 == 0) waitForReads<0>();
  }
};

template <bool depthContiguous, TileName name, int extraCols>
__global__ void __launch_bounds__(kThreads, 1)
    loraGemm(const __grid_constant__ Maps maps, const __grid_constant__ LoraGemm g) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || !defined(__CUDACC__)
  using T = Team<depthContiguous, name, extraCols>;
  constexpr TileSm90a kTile = T::kTile;
  T team(dynamicShared<char>());
  if (threadIdx.x == 0) team.init();
  __syncthreads();
  if constexpr (kTile.cluster > 1) clusterBarrier();

  const int rank = kTile.cluster == 1 ? 0 : clusterRank();
  const int first = static_cast<int>(blockIdx.x) / kTile.cluster, step = static_cast<int>(gridDim.x) / kTile.cluster;
  const TileWalk walk{(g.rows + kTile.rows() - 1) / kTile.rows(), (g.cols + kTile.cols - 1) / kTile.cols,
                      kTile.cluster};
  const int warpgroup = static_cast<int>(threadIdx.x) / 128;
  if (warpgroup == 0) {
    giveRegisters<kProducerRegisters>();
    if (threadIdx.x == 0) team.produce(maps, g, walk, first, step, rank);
    __syncwarp();
  } else {
    takeRegisters<kConsumerRegisters>();
    team.consume(maps, g, walk, first, step, rank, warpgroup - 1);
  }
  // The other block's consumers still arrive at this block's barriers.
  if constexpr (kTile.cluster > 1) clusterBarrier();
#endif
}

/// Boxes of a bf16 matrix, its rows padded to whole chunks of 16 bytes.
inline MatrixBoxes halves(const uint16_t* data, int rows, int cols, int boxRows, int boxCols) {
  return {data, rows, paddedColsBf16(cols), boxRows, boxCols, Element::bf16};
}

/// Of a weight [cols, depth] or [depth, cols], as loadColumns takes them.
inline MatrixBoxes weightBoxes(const uint16_t* data, bool depthContiguous, int depth, int cols, const TileSm90a& tile) {
  if (depthContiguous) return halves(data, cols, depth, tile.cols / tile.cluster, kSlab);
  return halves(data, depth, cols, kSlab / tile.cluster, 64);
}

template <bool depthContiguous, TileName name, int extraCols>
void launchTeam(const char* op, const LoraGemm& g) {
  constexpr TileSm90a tile = tileOf(name);
  static_assert(tile.sums(extraCols) <= 200, "the sums do not fit into a consumer's registers");
  static_assert(tile.sharedBytes(depthContiguous, extraCols) <= kMostSharedBytes);
  static_assert(tile.stagesThatFit(depthContiguous, extraCols) >= 3);
  Maps maps{};
  maps.x = encode(op, halves(g.x, g.rows, g.depth, tile.rows(), kSlab));
  maps.w = encode(op, weightBoxes(g.w, depthContiguous, g.depth, g.cols, tile));
  if (g.rank > 0) {
    maps.b = encode(op, weightBoxes(g.b, depthContiguous, g.rank, g.cols, tile));
    if (!g.a) maps.u = encode(op, halves(g.u, g.rows, g.rank, tile.rows(), kSlab));
  }
  if (extraCols > 0) maps.a = encode(op, halves(g.a, g.rank, g.depth, extraCols, kSlab));
  const auto results = [&](float* data) { return encode(op, {data, g.rows, g.cols, 64, kResultCols, Element::f32}); };
  maps.out = results(g.out);
  if (g.preActivation) maps.preActivation = results(g.preActivation);
  const int64_t clusters = ceilDivide(ceilDivide(g.rows, tile.rows()), tile.cluster) * ceilDivide(g.cols, tile.cols);
  const int64_t blocks =
      std::min<int64_t>(clusters * tile.cluster, Machine{}.multiprocessors / tile.cluster * tile.cluster);
  launchClusters(op, loraGemm<depthContiguous, name, extraCols>, dim3(static_cast<unsigned>(blocks)), kThreads,
                 static_cast<size_t>(tile.sharedBytes(depthContiguous, extraCols)), tile.cluster, maps, g);
}

/// The product by tile `name`, of the kernels whose u is made of that many extra columns.
template <bool depthContiguous, TileName name, int... extraCols>
void runTile(const char* op, const LoraGemm& g) {
  const int rank = g.a ? paddedRank(g.rank) : 0, extra = rank == 48 ? 64 : rank;
  const bool found = ((extra == extraCols && (launchTeam<depthContiguous, name, extraCols>(op, g), true)) || ...);
  if (!found) fail("INTERNAL", std::string(op) + ": no kernel for this tile and rank");
}

}  // namespace fl::cuda::hopper
