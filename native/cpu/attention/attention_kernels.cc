// Attention's kernels, compiled once for each instruction set (cmake/CpuVariants.cmake);
// attention.cc and attention_backward.cc share heads and sequences out to them, attention_kernels.h
// says what they compute.
//
// One head of one sequence is packed into scratch memory (keys and values of 32 tokens x 64 are 16
// KiB: no cache conflicts from the long rows of the batch), then blocks of query rows go through
// product, softmax, product.
#include "cpu/attention/attention_kernels.h"
#include "cpu/attention/small_product.inc"
#include "cpu/simd/math.inc"
#include "cpu/simd/philox.inc"

namespace {

using namespace fl::cpu;

// A score row has W floats more than it needs, so that a column of the block does not map to one
// cache set.
inline int64_t scoreStride(int64_t length) { return roundUp(length, W) + W; }

// Query rows in a block: about 64 KiB of scores; all of them up to 120 tokens.
inline int64_t blockRows(int64_t length, int64_t queries) {
  const int64_t fitting = 16384 / scoreStride(length) / kTileRows * kTileRows;
  const int64_t rows = fitting < kTileRows ? kTileRows : fitting;
  return rows < queries ? rows : queries;
}

int64_t forwardScratch(int64_t length, int64_t queries, int64_t headDim) {
  const int64_t rows = blockRows(length, queries);
  return roundUp(panelFloats(headDim, length) + panelFloats(length, headDim) + rows * scoreStride(length) + rows, 16);
}

// A head's rows are short pieces far apart, which no hardware prefetcher follows.
inline void prefetchRow(const float* x, int64_t n) {
  for (int64_t c = 0; c < n; c += 16) __builtin_prefetch(x + c, 0, 2);
}

inline void prefetchRowForWriting(const float* x, int64_t n) {
  for (int64_t c = 0; c < n; c += 16) __builtin_prefetch(x + c, 1, 2);
}

inline uint32_t tokenOf(const AttentionHead& h, int64_t query) {
  return h.tokens ? static_cast<uint32_t>(h.tokens[query]) : h.firstToken + static_cast<uint32_t>(query);
}

inline void prefetchNextHead(const AttentionHead& h, int64_t row) {
  const int64_t at = row * h.stride + h.headDim;
  prefetchRow(h.q + at, h.headDim);
  prefetchRow(h.k + at, h.headDim);
  prefetchRow(h.v + at, h.headDim);
}

// In place: scores → unnormalised probabilities e^(s - max), dropped ones 0. rowScale: 1 / sum,
// times 1 / (1 - p) where there is dropout.
inline void softmaxRow(const AttentionForward& f, int64_t row, float* scores, float& rowScale) {
  const int64_t length = f.head.length, last = (length - 1) / W * W;
  const F lowest = splat(-__builtin_inff());
  const F tail = lanes() < splatInt(static_cast<int32_t>(length - last)) ? load(scores + last) : lowest;
  store(scores + last, tail);
  F most = tail;
  for (int64_t j = 0; j < last; j += W) most = max(most, load(scores + j));
  const float largest = maxOf(most);
  F sum{};
  for (int64_t j = 0; j < length; j += W) {
    const F e = exp(load(scores + j) - largest);
    store(scores + j, e);
    sum += e;
  }
  const float total = sumOf(sum);
  rowScale = 1.0f / total;
  // In double: C libraries differ in the last bit of logf, and hardly ever in a float made of this.
  if (f.logsumexp) f.logsumexp[row * f.statsStride] = largest + static_cast<float>(__builtin_log(total));
  if (!f.head.mask) return;
  const Mask& mask = *f.head.mask;
  forMaskedVectors(mask, tokenOf(f.head, row), f.head.firstFeature, roundUp(length, W), [&](int64_t j, int, U words) {
    store(scores + j, words >= splatBits(mask.threshold) ? load(scores + j) : F{});
  });
  rowScale *= mask.keepScale;
}

void forward(const AttentionForward& f) {
  const AttentionHead& h = f.head;
  const int64_t length = h.length, stride = scoreStride(length), block = blockRows(length, h.queries);
  float* keys = h.scratch;
  float* values = keys + panelFloats(h.headDim, length);
  float* scores = values + panelFloats(length, h.headDim);
  float* rowScale = scores + block * stride;
  packTransposed(h.k, h.stride, length, h.headDim, keys);
  packRows(h.v, h.stride, length, h.headDim, values);
  for (int64_t first = 0; first < h.queries; first += block) {
    const int64_t rows = h.queries - first < block ? h.queries - first : block;
    product({h.q + first * h.stride, h.stride, 1, keys, h.headDim, 0, scores, stride, rows, roundUp(length, W),
             h.headDim, h.scale, nullptr, false});
    for (int64_t i = first; i < first + rows; i++) {
      prefetchRowForWriting(f.y + i * h.stride, h.headDim);
      if (h.another) prefetchNextHead(h, i);
      softmaxRow(f, i, scores + (i - first) * stride, rowScale[i - first]);
    }
    product({scores, stride, 1, values, length, 0, f.y + first * h.stride, h.stride, rows, h.headDim, length, 1,
             rowScale, false});
  }
}

int64_t backwardScratch(int64_t length, int64_t queries, int64_t headDim) {
  return 2 * panelFloats(headDim, length) + panelFloats(length, headDim) + 2 * panelFloats(queries, headDim) +
         2 * blockRows(length, queries) * scoreStride(length);
}

// In place: scores s and products g = dy v^T → m P (for dv) and dS = P (m g - delta).
inline void gradientRow(const AttentionBackward& b, int64_t row, float* scores, float* products) {
  const AttentionHead& h = b.head;
  const float logsumexp = b.logsumexp[row * b.statsStride];
  if (!h.mask) {
    for (int64_t j = 0; j < h.length; j += W) store(scores + j, exp(load(scores + j) - logsumexp));
    // delta = sum P g / sum P, in place of dy · y, makes a row of dS sum to zero up to one rounding
    // an element: gradients that cancel, such as a key bias's, then stay as small as they should
    // be.
    F total{}, dot{};
    forVectors(h.length, [&](int64_t j, int count) {
      const F p = loadUpTo(scores + j, count);
      total += p;
      dot += p * loadUpTo(products + j, count);
    });
    const float delta = sumOf(dot) / sumOf(total);
    for (int64_t j = 0; j < h.length; j += W) store(products + j, load(scores + j) * (load(products + j) - delta));
    return;
  }
  F dot{};
  forVectors(h.headDim, [&](int64_t c, int count) {
    dot += loadUpTo(b.dy + row * h.stride + c, count) * loadUpTo(b.y + row * h.stride + c, count);
  });
  const float delta = sumOf(dot);
  forMaskedVectors(*h.mask, tokenOf(h, row), h.firstFeature, roundUp(h.length, W), [&](int64_t j, int, U words) {
    const F p = exp(load(scores + j) - logsumexp);
    store(scores + j, dropped(*h.mask, words, p));
    store(products + j, p * (dropped(*h.mask, words, load(products + j)) - delta));
  });
}

void backward(const AttentionBackward& b) {
  const AttentionHead& h = b.head;
  const int64_t length = h.length, stride = scoreStride(length), block = blockRows(length, h.queries);
  const int64_t transposed = panelFloats(h.headDim, length);
  float* keysT = h.scratch;
  float* valuesT = keysT + transposed;
  float* keys = valuesT + transposed;
  float* queries = keys + panelFloats(length, h.headDim);
  float* outputs = queries + panelFloats(h.queries, h.headDim);  // dy
  float* scores = outputs + panelFloats(h.queries, h.headDim);
  float* products = scores + block * stride;
  packTransposed(h.k, h.stride, length, h.headDim, keysT);
  packTransposed(h.v, h.stride, length, h.headDim, valuesT);
  if (b.dq) packRows(h.k, h.stride, length, h.headDim, keys);
  if (b.dk) packRows(h.q, h.stride, h.queries, h.headDim, queries);
  if (b.dv) packRows(b.dy, h.stride, h.queries, h.headDim, outputs);
  for (int64_t first = 0; first < h.queries; first += block) {
    const int64_t rows = h.queries - first < block ? h.queries - first : block;
    product({h.q + first * h.stride, h.stride, 1, keysT, h.headDim, 0, scores, stride, rows, roundUp(length, W),
             h.headDim, h.scale, nullptr, false});
    product({b.dy + first * h.stride, h.stride, 1, valuesT, h.headDim, 0, products, stride, rows, roundUp(length, W),
             h.headDim, 1, nullptr, false});
    for (int64_t i = first; i < first + rows; i++) {
      if (b.dq) prefetchRowForWriting(b.dq + i * h.stride, h.headDim);
      if (b.dk) prefetchRowForWriting(b.dk + i * h.stride, h.headDim);
      if (b.dv) prefetchRowForWriting(b.dv + i * h.stride, h.headDim);
      if (h.another) {
        prefetchNextHead(h, i);
        prefetchRow(b.dy + i * h.stride + h.headDim, h.headDim);
        prefetchRow(b.y + i * h.stride + h.headDim, h.headDim);
      }
      gradientRow(b, i, scores + (i - first) * stride, products + (i - first) * stride);
    }
    if (b.dq)
      product({products, stride, 1, keys, length, 0, b.dq + first * h.stride, h.stride, rows, h.headDim, length,
               h.scale, nullptr, false});
    if (b.dk)
      product({products, 1, stride, queries, h.queries, first, b.dk, h.stride, length, h.headDim, rows, h.scale,
               nullptr, b.accumulate || first > 0});
    if (b.dv)
      product({scores, 1, stride, outputs, h.queries, first, b.dv, h.stride, length, h.headDim, rows, 1, nullptr,
               b.accumulate || first > 0});
  }
}

}  // namespace

namespace fl::cpu::FL_ISA {

const AttentionKernels kAttentionKernels = {forwardScratch, forward, backwardScratch, backward};

}  // namespace fl::cpu::FL_ISA
