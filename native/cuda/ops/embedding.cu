// embeddingSum: y[t] = sum_i table_i[ids_i[t]], table 0 as floats or as int8 codes by row.
// embeddingBackward: dtable[ids[t]] += dy[t], in the order of t, which scatter_rows.cu keeps.
#include "ops/embedding.h"

#include <optional>

#include "cuda/device/device.h"
#include "cuda/gemm/held_weights.h"
#include "cuda/ops.h"
#include "cuda/ops/rows.cuh"
#include "cuda/ops/scatter_rows.h"

namespace fl::cuda {
namespace {

struct Tables {
  int count;
  const int32_t* ids[EmbeddingSumOp::kMaxTables];
  const float* table[EmbeddingSumOp::kMaxTables];
  /// Of table 0 in int8: [V, codeCols] and [V]; null where it is fp32.
  const int8_t* codes;
  const float* scales;
  int64_t codeCols;
  float* y;
  int64_t cols;
};

/// Four codes of a row times its scale: rows are padded to whole words.
__device__ inline Quad expandQuad(const Tables& t, int64_t id, int64_t first) {
  const auto word = *reinterpret_cast<const uint32_t*>(t.codes + id * t.codeCols + first);
  const float scale = t.scales[id];
  Quad q;
#pragma unroll
  for (int j = 0; j < 4; j++) q.v[j] = __fmul_rn(static_cast<float>(static_cast<int8_t>(word >> 8 * j)), scale);
  return q;
}

template <class Team>
struct SumTables {
  __device__ static void run(const Tables& t, int64_t row) {
    Team::forQuads(t.cols, [&](int, int64_t first) {
      Quad q = t.codes ? expandQuad(t, t.ids[0][row], first)
                       : Team::load(t.table[0] + t.ids[0][row] * t.cols, first, t.cols);
#pragma unroll
      for (int i = 1; i < EmbeddingSumOp::kMaxTables; i++)
        if (i < t.count) addQuad(q, Team::load(t.table[i] + t.ids[i][row] * t.cols, first, t.cols));
      Team::store(t.y + row * t.cols, first, t.cols, q);
    });
  }
};

}  // namespace

void embeddingSum(const OpCall& call) {
  const auto op = EmbeddingSumOp::bind(call);
  Tables t{};
  t.count = op.numTables;
  for (int i = 0; i < op.numTables; i++) {
    t.ids[i] = op.ids[i].as<int32_t>();
    t.table[i] = op.table[i].as<float>();
  }
  t.y = op.y.as<float>();
  t.cols = op.y.cols();
  const bool isInt8 = op.baseWeights == BaseWeights::int8;
  const Device::Scratch scratch = Device::instance().scratch(isInt8 ? HeldTable::scratchCount(op.table[0]) : 0);
  std::optional<HeldTable> held;
  if (isInt8) {
    held.emplace("embeddingSum", op.table[0], scratch.data());
    t.codes = held->codes();
    t.scales = held->scales();
    t.codeCols = paddedCodes(t.cols);
  }
  forRows<SumTables>("embeddingSum", op.y.rows(), t.cols, t);
}

void embeddingBackward(const OpCall& call) {
  const auto op = EmbeddingBackwardOp::bind(call);
  ScatterRows s;
  s.index = op.ids.as<int32_t>();
  s.rows = op.dy.as<float>();
  s.table = op.dtable.as<float>();
  s.count = op.dy.rows();
  s.cols = op.dy.cols();
  s.skip = op.paddingIndex;
  run("embeddingBackward", s);
}

}  // namespace fl::cuda
