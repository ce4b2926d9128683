// Packs rows of a left operand, as words or as int8 codes, makes u from them where it is made on
// the way, and puts it behind them. What the panels are for: left_panels.h; single panels:
// panels.h.
#include "cpu/gemm/left_panels.h"

#include <algorithm>

namespace fl::cpu {

LeftPanels::LeftPanels(std::span<const Product* const> products)
    : p_(*products.front()),
      kernels_(p_.kernels),
      mr_(p_.int8.present() ? p_.int8.kernels->mr : kernels_.mr),
      rows_(products, mr_, kernels_.gradientRows) {}

void LeftPanels::begin(const Block& block, const SuperBlock& part) {
  block_ = block;
  part_ = part;
  const int64_t rows = rows_.begin(part.firstPanel + part.panels) - part.firstRow;
  memory_ = wordWorkspace(WorkspaceSlot::leftPanels, rows * block.words);
}

void LeftPanels::pack(int64_t begin, int64_t end, int thread) const {
  if (!p_.int8.present()) return packWords(begin, end, thread);
  for (int64_t i = begin; i < end; i++) packInt8(i, thread);
}

void LeftPanels::packWords(int64_t begin, int64_t end, int thread) const {
  int64_t words = 0;
  for (int64_t i = begin; i < end; i++) {
    const int size = rows_.size(i);
    words =
        std::max({words, leftRowsWords(kernels_, size, block_.k), leftRowsWords(kernels_, size, segmentOf(i).rank)});
  }
  auto* memory = static_cast<Word*>(ThreadPool::instance().scratch(thread, words * static_cast<int64_t>(sizeof(Word))));
  const LowRankSteps steps{block_.k0 / kernels_.depth, block_.steps, block_.first, block_.last};
  for (int64_t i = begin; i < end; i++) {
    const int size = rows_.size(i);
    const float* x = rows_.left(i) + block_.k0;
    const LowRank& low = segmentOf(i).low;
    if (!low.present() || low.byTiles()) {
      packLeftPanel(kernels_, x, p_.lda, size, block_.k, memory, panel(i));
      continue;
    }
    const LeftRows left = leftRows(kernels_, x, p_.lda, size, block_.k, memory);
    kernels_.transpose(left.data, left.ld, size, left.words, panel(i), size);
    lowRankByDots(kernels_, low, steps, left, size, rows_.update(i));
  }
  for (int64_t first = begin; first < end;) {
    const LowRank& low = segmentOf(first).low;
    LowRankPanel panels[kTogether];
    size_t count = 0;
    for (; first < end && &segmentOf(first).low == &low; first++)
      panels[count++] = {panel(first), rows_.size(first), rows_.update(first)};
    if (low.present() && low.byTiles()) lowRankByTiles(kernels_, low, steps, {panels, count});
  }
  if (!block_.last) return;
  for (int64_t i = begin; i < end; i++) appendUpdate(i, memory);
}

// u behind the rows of a panel.
void LeftPanels::appendUpdate(int64_t panel, Word* memory) const {
  const int64_t rank = segmentOf(panel).rank;
  if (rank == 0) return;
  Word* to = this->panel(panel) + block_.baseWords * rows_.size(panel);
  forTileRows(panel, [&](int first, int rows) {
    packLeftPanel(kernels_, rows_.update(panel) + first * rank, rank, rows, rank, memory,
                  to + first * stepsOf(kernels_, rank) * kernels_.leftWords);
  });
}

void LeftPanels::packInt8(int64_t panel, int thread) const {
  const Int8Weight& weight = p_.int8;
  const int size = rows_.size(panel);
  const ProductSegment& segment = segmentOf(panel);
  const float* x = rows_.left(panel);
  // Codes, or what u needs, or u in words: one after the other in the same memory.
  int64_t words = std::max(size * (block_.baseWords + kQuantiseSlack), leftRowsWords(kernels_, size, segment.rank));
  if (segment.low.present()) words = std::max(words, lowRankRowsWords(kernels_, segment.low, size, p_.k));
  auto* memory = static_cast<Word*>(ThreadPool::instance().scratch(thread, words * static_cast<int64_t>(sizeof(Word))));
  const float* factors = weight.use == WeightUse::backward ? weight.panels.scales : nullptr;
  weight.kernels->quantisePanel(x, p_.lda, size, p_.k, factors, memory, this->panel(panel), int8RowScales(panel));
  if (segment.low.present())
    forTileRows(panel, [&](int first, int rows) {
      lowRankRows(kernels_, segment.low, x + first * p_.lda, p_.lda, rows, p_.k, memory,
                  rows_.update(panel) + first * segment.rank);
    });
  appendUpdate(panel, memory);
}

void LeftPanels::packTransposed(int64_t begin, int64_t count) const {
  const int64_t word = begin / kernels_.depth * kernels_.leftWords;
  const float* from = p_.a + (block_.k0 + begin) * p_.lda;
  for (int64_t i = part_.firstPanel; i < part_.firstPanel + part_.panels; i++) {
    const int64_t row = rows_.begin(i), size = rows_.size(i);
    kernels_.leftPanelColumns(from + row, p_.lda, size, count, panel(i) + word * size);
  }
}

}  // namespace fl::cpu
