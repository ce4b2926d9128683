// u = s x A^T and v = s dy B: the products with few results a row that the LoRA ops make beside
// their big one (product.h). Gradients of A and B: weight_gradient.h.
#pragma once

#include <span>

#include "cpu/gemm/kernels.h"
#include "cpu/gemm/panels.h"
#include "ops/op.h"

namespace fl::cpu {

/// A [rank, k], or B [n, rank] as its transpose, in the layout that is faster for this rank: rows
/// that dot products run along, or panels of the register tile.
struct LowRank {
  int64_t rank = 0;
  float scale = 1;
  LeftRows rows;
  Panels panels;

  bool present() const { return rank != 0; }
  bool byTiles() const { return panels.data != nullptr; }
};

/// Made for every call, since the adapter changes with every step; valid until the next call of
/// this thread. Not inside a parallel region.
LowRank lowRank(const Kernels& kernels, const Tensor& adapter, WeightUse use, float scale);

/// Some steps of k: their products begin u, or are added to it; after the last ones u is scaled.
struct LowRankSteps {
  int64_t begin = 0, count = 0;
  bool first = true, last = true;
};

/// u [m, rank] from rows of x in words, those of the steps alone.
void lowRankByDots(const Kernels& kernels, const LowRank& low, const LowRankSteps& steps, const LeftRows& x, int m,
                   float* u);
/// A left panel of some rows, and where their u [rows, rank] goes.
struct LowRankPanel {
  const Word* left = nullptr;
  int rows = 0;
  float* u = nullptr;
};
/// Several panels at a time: each panel of A is read once for all of them.
void lowRankByTiles(const Kernels& kernels, const LowRank& low, const LowRankSteps& steps,
                    std::span<const LowRankPanel> rows);

/// u for a few rows of x [rows, k], ldx apart, none of whose words were made yet; `memory` has
/// room for lowRankRowsWords.
int64_t lowRankRowsWords(const Kernels& kernels, const LowRank& low, int64_t rows, int64_t k);
void lowRankRows(const Kernels& kernels, const LowRank& low, const float* x, int64_t ldx, int64_t rows, int64_t k,
                 Word* memory, float* u);

/// u for x [rows, k] row-major.
void lowRankInput(const Kernels& kernels, const LowRank& low, const float* x, int64_t rows, int64_t k, float* u);

}  // namespace fl::cpu
