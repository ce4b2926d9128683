// The driver of the packed products: C (+)= A B + u L, with what belongs to a tile's end. The ops
// fill one in (cpu/ops/linear.cc, lora_linear.cc); how it is cut into tiles is in product.cc.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "cpu/gemm/int8_panels.h"
#include "cpu/gemm/kernels.h"
#include "cpu/gemm/low_rank.h"
#include "cpu/gemm/nf4_panels.h"
#include "cpu/gemm/panels.h"

namespace fl::cpu {

/// Rows of a product up to `end`, from the segment before on, with an adapter of their own:
/// C += u L for them, u [rows of the segment, rank] dense. rank 0: none.
struct ProductSegment {
  int64_t end = 0, rank = 0;
  Panels adapter;
  float* u = nullptr;
  LowRank low;
};

struct Product {
  explicit Product(const Kernels& k) : kernels(k) {}

  const Kernels& kernels;
  int64_t m = 0, n = 0, k = 0;

  /// A [m, k]: element (i, t) at a[i * lda + t], or at a[t * lda + i] when transposed.
  const float* a = nullptr;
  int64_t lda = 0;
  bool aTransposed = false;

  /// B [k, n] in panels, or as int8 codes (then A, which is not transposed, is quantised on the
  /// way, and C not added to), or in NF4 (expanded on the way), or row-major in bRows (then packed
  /// on the way).
  Panels b;
  Int8Weight int8;
  Nf4Weight nf4;
  const float* bRows = nullptr;
  int64_t ldb = 0;

  /// rank > 0: C += u L with u [m, rank] and L [rank, n] in panels.
  int64_t rank = 0;
  Panels adapter;
  float* u = nullptr;
  /// Where present, u is made (and stored) first, from A, which is not transposed then.
  LowRank low;
  /// Where present, instead of rank, adapter, u and low; they cover all rows. Tiles never lie
  /// across the end of a segment, and each element has the bits that it would have in a product of
  /// its segment alone.
  std::vector<ProductSegment> segments;

  float* c = nullptr;
  bool accumulate = false;
  const float* bias = nullptr;
  const float* residual = nullptr;
  float* preActivation = nullptr;
  /// Where present, C = f'(slopeAt) C + residual instead of f(C) + residual.
  const float* slopeAt = nullptr;
  KernelActivation activation = KernelActivation::none;

  /// Called between parallel regions, in order, for rows [begin, end) of A whose results (u, C) are
  /// made, as soon as they are; begin is a multiple of kernels.gradientRows (counted from the begin
  /// of its segment, where there are some). `rowsAtOnce` says how many rows that should be at most
  /// (0: no wish).
  std::function<void(int64_t begin, int64_t end)> afterRows;
  int64_t rowsAtOnce = 0;

  /// Keeps the panels of a weight alive.
  std::shared_ptr<const void> owner;
};

/// C, residual, preActivation and slopeAt are dense [m, n].
void multiply(const Product& product);

/// Products of the same right operand (n, k, lda, kernels, b or int8 or nf4, and accumulate are the
/// first one's), A not transposed: each element has the bits that its product gives alone. The
/// right operand is read once for the rows of all.
void multiply(std::span<const Product* const> products);

}  // namespace fl::cpu
