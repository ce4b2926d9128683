// embeddingSum: y[t] = sum_i table_i[ids_i[t]].
// embeddingBackward: dtable[ids[t]] += dy[t], in the order of t, which scatter_rows.cu keeps.
#include "ops/embedding.h"

#include "cuda/ops.h"
#include "cuda/ops/rows.cuh"
#include "cuda/ops/scatter_rows.h"

namespace fl::cuda {
namespace {

struct Tables {
  int count;
  const int32_t* ids[EmbeddingSumOp::kMaxTables];
  const float* table[EmbeddingSumOp::kMaxTables];
  float* y;
  int64_t cols;
};

template <class Team>
struct SumTables {
  __device__ static void run(const Tables& t, int64_t row) {
    Team::forQuads(t.cols, [&](int, int64_t first) {
      Quad q = Team::load(t.table[0] + t.ids[0][row] * t.cols, first, t.cols);
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
