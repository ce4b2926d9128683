// u = s x A^T and v = s dy B: the products with few results a row that the LoRA ops make beside their big one.
#pragma once

#include "cpu/gemm/kernels.h"
#include "cpu/gemm/panels.h"
#include "ops/op.h"

namespace fl::cpu {

/// A [rank, k], or B [n, rank] as its transpose, in the layout that is faster for this rank: rows that dot products run
/// along, or panels of the register tile.
struct LowRank {
  int64_t rank = 0;
  float scale = 1;
  LeftRows rows;
  Panels panels;

  bool present() const { return rank != 0; }
  bool byTiles() const { return panels.data != nullptr; }
};

/// Made for every call, since the adapter changes with every step; valid until the next call of this thread. Not inside
/// a parallel region.
LowRank lowRank(const Kernels& kernels, const Tensor& adapter, WeightUse use, float scale);

/// u [m, rank] of rows in words, with dot products.
void lowRankByDots(const Kernels& kernels, const LowRank& low, const LeftRows& x, int64_t m, float* u);

/// Adds `steps` steps of a left panel of m rows, from step `firstStep` on, to u [m, rank], or begins it with them;
/// after the last ones u is scaled.
struct LowRankSteps {
  const Word* panel = nullptr;
  int m = 0;
  int64_t firstStep = 0, steps = 0;
  bool first = true, last = true;
};
void lowRankByTiles(const Kernels& kernels, const LowRank& low, const LowRankSteps& x, float* u);

/// u for x [rows, k] row-major.
void lowRankInput(const Kernels& kernels, const LowRank& low, const float* x, int64_t rows, int64_t k, float* u);

}  // namespace fl::cpu
