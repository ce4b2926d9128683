// gatherRows: y[g] = x[index[g]]. gatherRowsBackward: dx = 0, then dx[index[g]] += dy[g] in the
// order of g. With few gathered rows every row of dx looks for its terms itself, in one launch. The
// ordered addition is scatter_rows.cu's.
#include "ops/gather_rows.h"

#include "cuda/device/memory.h"
#include "cuda/ops.h"
#include "cuda/ops/rows.cuh"
#include "cuda/ops/scatter_rows.h"

namespace fl::cuda {
namespace {

struct Gather {
  const float* x;
  const int32_t* index;
  float* y;
  int64_t cols;
};

template <class Team>
struct GatherRow {
  __device__ static void run(const Gather& g, int64_t row) {
    const float* const x = g.x + g.index[row] * g.cols;
    Team::forQuads(g.cols, [&](int, int64_t first) {
      Team::store(g.y + row * g.cols, first, g.cols, Team::load(x, first, g.cols));
    });
  }
};

struct GatherBackward {
  const float* dy;
  const int32_t* index;
  float* dx;
  int gathered;
  int64_t cols;
};

template <class Team>
struct GatherBackwardRow {
  __device__ static void run(const GatherBackward& b, int64_t row) {
    constexpr int kWords = kMostScanned / 32;
    // Bit g of the words: index[g] is this row. Every warp of the team finds all of them.
    const int lane = static_cast<int>(threadIdx.x) % 32;
    unsigned mine[kWords];
#pragma unroll
    for (int word = 0; word < kWords; word++) {
      const int g = 32 * word + lane;
      mine[word] = __ballot_sync(0xFFFFFFFFu, g < b.gathered && b.index[g] == row);
    }
    Team::forQuads(b.cols, [&](int, int64_t first) {
      Quad sum{};
#pragma unroll
      for (int word = 0; word < kWords; word++)
        for (unsigned left = mine[word]; left != 0; left &= left - 1)
          addQuad(sum, Team::load(b.dy + (32 * word + __ffs(static_cast<int>(left)) - 1) * b.cols, first, b.cols));
      Team::store(b.dx + row * b.cols, first, b.cols, sum);
    });
  }
};

}  // namespace

void gatherRows(const OpCall& call) {
  const auto op = GatherRowsOp::bind(call);
  forRows<GatherRow>("gatherRows", op.y.rows(), op.y.cols(),
                     Gather{op.x.as<float>(), op.index.as<int32_t>(), op.y.as<float>(), op.y.cols()});
}

void gatherRowsBackward(const OpCall& call) {
  const auto op = GatherRowsBackwardOp::bind(call);
  const char* const name = "gatherRowsBackward";
  const int64_t gathered = op.dy.rows(), cols = op.dy.cols();
  if (gathered <= kMostScanned) {
    forRows<GatherBackwardRow>(
        name, op.dx.rows(), cols,
        GatherBackward{op.dy.as<float>(), op.index.as<int32_t>(), op.dx.as<float>(), static_cast<int>(gathered), cols});
    return;
  }
  deviceMemory().zero(op.dx.data, static_cast<size_t>(op.dx.bytes()));
  ScatterRows s;
  s.index = op.index.as<int32_t>();
  s.rows = op.dy.as<float>();
  s.table = op.dx.as<float>();
  s.count = gathered;
  s.cols = cols;
  run(name, s);
}

}  // namespace fl::cuda
