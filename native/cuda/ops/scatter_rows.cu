// Sorting: chunks of 1024 keys (index, position) by a bitonic network in shared memory; then each
// key's place is its place in its chunk plus the number of smaller keys in every other chunk, found
// by bisection. Keys are all different, so that there is one sorted order. Callers and contract:
// scatter_rows.h.
//
// Summing: a block has 64 sorted positions, a thread one column. What begins and ends in the piece
// is added to the table; the sum of a run that came from the piece before (head) or goes on in the
// next one (tail) is kept, and added up in order by the block of the piece where the run begins.
#include "cuda/ops/scatter_rows.h"

#include "cuda/device/launch.h"
#include "cuda/gemm/selection.h"

namespace fl::cuda {
namespace {

using Key = uint64_t;  // index in the high half, position in the low one

constexpr int kChunk = SortNetwork::kKeys;
constexpr int kSortThreads = kChunk / 2;
constexpr int kThreads = 128;
constexpr int kPiece = 64;
/// Rows under way at once.
constexpr int kBatch = 8;

__device__ int64_t indexOf(Key key) { return static_cast<int64_t>(key >> 32); }
__device__ int64_t positionOf(Key key) { return static_cast<int64_t>(key & 0xFFFFFFFFu); }

/// Grid: chunks.
__global__ void __launch_bounds__(kSortThreads) sortChunks(const int32_t* index, int64_t count, Key* sorted) {
  __shared__ Key keys[kChunk];
  const int64_t begin = blockIdx.x * int64_t{kChunk};
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < kChunk; i += kSortThreads) {
    const int64_t at = begin + i;
    keys[i] = at < count ? static_cast<Key>(static_cast<uint32_t>(index[at])) << 32 | static_cast<Key>(at) : ~Key{0};
  }
  for (int size = 2; size <= kChunk; size *= 2)
    for (int distance = size / 2; distance > 0; distance /= 2) {
      __syncthreads();
      const SortNetwork::Pair pair = SortNetwork::pair(thread, size, distance);
      const Key low = keys[pair.low], high = keys[pair.high];
      if ((low > high) == pair.ascending) {
        keys[pair.low] = high;
        keys[pair.high] = low;
      }
    }
  __syncthreads();
  for (int i = thread; i < kChunk; i += kSortThreads)
    if (begin + i < count) sorted[begin + i] = keys[i];
}

/// One thread a key. Grid: keys / kThreads.
__global__ void __launch_bounds__(kThreads) mergeChunks(const Key* chunks, int64_t count, Key* sorted) {
  const int64_t at = blockIdx.x * int64_t{kThreads} + threadIdx.x;
  if (at >= count) return;
  const Key key = chunks[at];
  int64_t place = at % kChunk;
  for (int64_t begin = 0; begin < count; begin += kChunk) {
    if (begin == at - at % kChunk) continue;
    // The first larger key lies here.
    int64_t low = begin, high = begin + kChunk < count ? begin + kChunk : count;
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if (chunks[middle] < key)
        low = middle + 1;
      else
        high = middle;
    }
    place += low - begin;
  }
  sorted[place] = key;
}

struct Pieces {
  const Key* sorted;
  float* partials;  // [pieces][head, tail][cols]
  int64_t columnBlocks;

  __device__ int64_t piece() const { return blockIdx.x / columnBlocks; }
  __device__ int64_t col() const { return blockIdx.x % columnBlocks * kThreads + threadIdx.x; }
};

/// Grid: pieces x blocks of columns.
__global__ void __launch_bounds__(kThreads) sumPieces(const ScatterRows s, const Pieces p) {
  __shared__ Key keys[kPiece];
  const int64_t piece = p.piece(), col = p.col(), begin = piece * kPiece;
  const int n = static_cast<int>(s.count - begin < kPiece ? s.count - begin : kPiece);
  if (static_cast<int>(threadIdx.x) < n) keys[threadIdx.x] = p.sorted[begin + threadIdx.x];
  const int64_t before = begin > 0 ? indexOf(p.sorted[begin - 1]) : -1;
  const int64_t after = begin + n < s.count ? indexOf(p.sorted[begin + n]) : -1;
  __syncthreads();
  if (col >= s.cols) return;

  bool beganHere = indexOf(keys[0]) != before;
  float sum = 0;
  for (int i0 = 0; i0 < n; i0 += kBatch) {
    float term[kBatch];
#pragma unroll
    for (int j = 0; j < kBatch; j++) term[j] = i0 + j < n ? s.rows[positionOf(keys[i0 + j]) * s.cols + col] : 0.0f;
#pragma unroll
    for (int j = 0; j < kBatch; j++) {
      const int i = i0 + j;
      if (i >= n) break;
      sum += term[j];
      const int64_t index = indexOf(keys[i]), next = i + 1 < n ? indexOf(keys[i + 1]) : after;
      const bool endsHere = next != index;
      if (!endsHere && i + 1 < n) continue;
      if (!beganHere || !endsHere)
        p.partials[(2 * piece + (beganHere ? 1 : 0)) * s.cols + col] = sum;
      else if (index != s.skip)
        s.table[index * s.cols + col] += sum;
      sum = 0;
      beganHere = true;
    }
  }
}

/// Adds up the run that begins in a piece and goes on after it. Grid as for sumPieces.
__global__ void __launch_bounds__(kThreads) joinPieces(const ScatterRows s, const Pieces p) {
  const int64_t begin = p.piece() * kPiece, col = p.col();
  int64_t end = begin + kPiece;
  if (end >= s.count || col >= s.cols) return;
  const int64_t index = indexOf(p.sorted[end - 1]);
  const bool goesOn = indexOf(p.sorted[end]) == index;
  const bool beganBefore = begin > 0 && indexOf(p.sorted[begin - 1]) == index;
  if (!goesOn || beganBefore || index == s.skip) return;
  float sum = p.partials[(2 * p.piece() + 1) * s.cols + col];
  while (end < s.count && indexOf(p.sorted[end]) == index) {
    sum += p.partials[2 * (end / kPiece) * s.cols + col];
    end += kPiece;
  }
  s.table[index * s.cols + col] += sum;
}

}  // namespace

void run(const char* op, const ScatterRows& s) {
  if (s.count == 0 || s.cols == 0) return;
  const int64_t chunks = ceilDivide(s.count, kChunk), pieces = ceilDivide(s.count, kPiece);
  const int64_t columnBlocks = ceilDivide(s.cols, kThreads);
  const int64_t keyFloats = s.count * static_cast<int64_t>(sizeof(Key) / sizeof(float));
  const Device::Scratch scratch = Device::instance().scratch(2 * keyFloats + 2 * pieces * s.cols);
  Key* const chunked = reinterpret_cast<Key*>(scratch.data());
  Key* sorted = chunked;
  launch(op, sortChunks, dim3(blocks(op, chunks)), kSortThreads, s.index, s.count, chunked);
  if (chunks > 1) {
    sorted = chunked + s.count;
    launch(op, mergeChunks, dim3(blocks(op, ceilDivide(s.count, kThreads))), kThreads, chunked, s.count, sorted);
  }
  const Pieces p{sorted, scratch.data() + 2 * keyFloats, columnBlocks};
  const dim3 grid(blocks(op, pieces * columnBlocks));
  launch(op, sumPieces, grid, kThreads, s, p);
  if (pieces > 1) launch(op, joinPieces, grid, kThreads, s, p);
}

}  // namespace fl::cuda
