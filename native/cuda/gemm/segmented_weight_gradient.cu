// Partial sums and their addition for rows in segments; segmented_weight_gradient.h says of what.
// Pieces of a segment are those of splitRows() for its rows, and the pieces of all segments lie one
// after the other.
#include "cuda/gemm/segmented_weight_gradient.h"

#include "cuda/device/launch.h"
#include "cuda/gemm/weight_gradient_bf16.cuh"
#include "cuda/gemm/weight_gradient_f32.cuh"

namespace fl::cuda {
namespace {

constexpr int kThreads = 128;
static_assert(kThreads == WeightGradientBlockF32::kThreads && kThreads == WeightGradientTile::kThreads);

/// Columns and ranks of a block.
template <Precision precision>
struct Block {
  static constexpr bool kHalves = precision == Precision::bf16;
  static constexpr int kCols = kHalves ? WeightGradientTile::kCols : kThreads;
  static constexpr int kRanks = kHalves ? WeightGradientTile::kRanks : WeightGradientBlockF32::kRanks;
};

int64_t mostPieces(const Segments& s) {
  // Of a segment at most 32 (selection.h), and one for each 256 rows begun.
  return std::min<int64_t>(s.mostTiles(256), int64_t{32} * s.slots);
}

/// Grid: columns, ranks, pieces.
template <Precision precision>
__global__ void __launch_bounds__(kThreads)
    segmentedPartials(const WeightGradient whole, const Segments segments, float* partials) {
  int64_t piece = blockIdx.z;
  SegmentTile s;
  RowSplit split = splitRows(0);
  int slot = 0;
  for (; slot < segments.slots; slot++) {
    s = segmentOf(segments, slot);
    if (s.rank == 0) continue;
    split = splitRows(s.end - s.first);
    if (piece < split.count) break;
    piece -= split.count;
  }
  if (slot == segments.slots) return;  // there are fewer pieces
  WeightGradient o = whole;
  o.rank = s.rank;
  o.p += s.first * (segments.mostRank - s.rank);  // dense from its first row on
  const int64_t begin = s.first + piece * split.rows;
  const int64_t end = begin + split.rows < s.end ? begin + split.rows : s.end;
  using B = Block<precision>;
  const int64_t firstCol = blockIdx.x * int64_t{B::kCols}, firstRank = blockIdx.y * int64_t{B::kRanks};
  float* const partial = partials + blockIdx.z * segments.mostRank * o.cols;
  if constexpr (B::kHalves) {
    if (firstRank < s.rank) storePieceBf16(o, firstCol, firstRank, begin, end, partial);
  } else {
    sumPiece(o, firstCol, firstRank, begin, end, partial);
  }
}

/// One thread an element of a slot; grid: elements / kThreads, slots.
__global__ void __launch_bounds__(kThreads)
    addSegmentedPartials(const WeightGradient o, const Segments segments, const float* partials) {
  const int slot = static_cast<int>(blockIdx.y);
  const int64_t e = blockIdx.x * int64_t{kThreads} + threadIdx.x;
  int64_t before = 0;
  SegmentTile s;
  for (int g = 0; g <= slot; g++) {
    if (s.rank > 0) before += splitRows(s.end - s.first).count;
    s = segmentOf(segments, g);
  }
  if (e >= s.rank * o.cols || !s.found) return;
  const int count = splitRows(s.end - s.first).count;
  float sum = 0;
  for (int piece = 0; piece < count; piece++) sum += partials[(before + piece) * segments.mostRank * o.cols + e];
  float* const out = o.out + slot * segments.mostRank * o.cols;
  out[o.transposed ? e % o.cols * s.rank + e / o.cols : e] += sum;
}

template <Precision precision>
void launchPartials(const char* op, const WeightGradient& o, const Segments& segments, float* partials) {
  using B = Block<precision>;
  const dim3 grid(blocks(op, ceilDivide(o.cols, B::kCols)), blocksDown(op, ceilDivide(segments.mostRank, B::kRanks)),
                  blocksDown(op, mostPieces(segments)));
  launch(op, segmentedPartials<precision>, grid, kThreads, o, segments, partials);
}

}  // namespace

int64_t segmentedPartialCount(const WeightGradient& sum, const Segments& segments) {
  return mostPieces(segments) * segments.mostRank * sum.cols;
}

void runSegmented(const char* op, const WeightGradient& o, const Segments& segments, float* partials) {
  if (o.rows == 0 || o.cols == 0) return;
  if (o.precision == Precision::bf16)
    launchPartials<Precision::bf16>(op, o, segments, partials);
  else
    launchPartials<Precision::fp32>(op, o, segments, partials);
  const dim3 all(blocks(op, ceilDivide(segments.mostRank * o.cols, kThreads)), blocksDown(op, segments.slots));
  launch(op, addSegmentedPartials, all, kThreads, o, segments, partials);
}

}  // namespace fl::cuda
