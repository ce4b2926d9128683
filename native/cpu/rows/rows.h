// How the row-wise ops share their work: what a chunk holds depends on shapes only, so no result
// depends on threads. The ops are in cpu/ops, what they do with a row in row_kernels.h.
#pragma once

#include <algorithm>

#include "cpu/dispatch.h"
#include "cpu/ops/kernel_arguments.h"
#include "ops/op.h"
#include "runtime/thread_pool.h"

namespace fl::cpu {

inline const float* rowOf(const Tensor& t, int64_t row) { return t.as<float>() + row * t.cols(); }
inline float* mutableRow(const Tensor& t, int64_t row) { return t.as<float>() + row * t.cols(); }

/// body(begin, end) over pieces of [0, count) of `piece` at most.
template <class Body>
void forPieces(int64_t count, int64_t piece, const Body& body) {
  ThreadPool::instance().parallelFor((count + piece - 1) / piece, [&](int64_t chunk, int) {
    body(chunk * piece, std::min(count, (chunk + 1) * piece));
  });
}

/// About 16,000 elements: a few microseconds of work, and small beside the second-level cache.
constexpr int64_t kPieceElements = 16384;

/// body(begin, end) over elements of a dense tensor.
template <class Body>
void forElements(int64_t count, const Body& body) {
  forPieces(count, kPieceElements, body);
}

/// body(row) over the rows of a matrix of `cols` columns.
template <class Body>
void forRows(int64_t rows, int64_t cols, const Body& body) {
  forPieces(rows, std::max<int64_t>(1, kPieceElements / std::max<int64_t>(1, cols)), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) body(row);
  });
}

/// body(first column, number of columns) over blocks of 64 columns: ops that add to rows in an
/// order that must be kept share out columns instead.
constexpr int64_t kColumnBlock = 64;
template <class Body>
void forColumnBlocks(int64_t cols, const Body& body) {
  forPieces(cols, kColumnBlock, [&](int64_t begin, int64_t end) { body(begin, end - begin); });
}

}  // namespace fl::cpu
