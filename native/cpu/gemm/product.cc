// Runs a product (product.h): packs operands (left_panels.h, panels.h) and computes tiles by the
// kernels of the instruction set (kernels.h).
//
// One block of k after the other, and in it one super-block of rows after the other:
//   1. in parallel: the rows are packed into panels (with u appended as more k-steps), B and the
//      adapter where needed;
//   2. in parallel: tiles, in jobs of (a group of row panels that fits the L2 cache) x (one column
//      panel),
// or, where the kernels want it, both in one job of a group of rows.
// How this is cut never changes a result: each element is one chain of multiply-adds in the order
// of k (kernels.h), and a sum that spans blocks of k passes through C unrounded.
//
// With int8 weights rows are quantised in 1, over all of k at once, and a tile has two parts: that
// of the codes (int8_kernels.h), then the adapter and the end of the tile by the kernels of the
// precision, from there; between them it lies densely in the L1 cache (tile.inc says why). NF4
// weights are expanded in 2, a column panel a job.
#include "cpu/gemm/product.h"

#include <algorithm>
#include <vector>

#include "cpu/gemm/left_panels.h"
#include "platform/processor.h"
#include "runtime/thread_pool.h"

namespace fl::cpu {
namespace {

// Of more steps than this, a column panel and the row panels that share it would not fit the L2
// cache together; of fewer, sums pass through C too often.
constexpr int64_t kBlockSteps = 1536;
// Both operands are packed on the way: smaller blocks keep them in the cache.
constexpr int64_t kBlockStepsTransposed = 1024;
constexpr int64_t kSuperBlockBytes = int64_t{4} << 20;
constexpr int64_t kPackRows = 32;
constexpr int64_t kMaxGroup = 32;
constexpr int64_t kJobsPerThread = 8;
// Row panels a thread from which on jobs take rows, where the kernels want that: of fewer, B would
// be read for too few rows.
constexpr int64_t kPanelsOfRowJob = 2;

int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t cacheL2() {
  static const int64_t bytes = [] {
    const int64_t found = platform::cacheL2();
    return found > 0 ? found : int64_t{1} << 20;
  }();
  return bytes;
}

class Run {
 public:
  explicit Run(std::span<const Product* const> products)
      : products_(products),
        p_(*products.front()),
        kernels_(p_.kernels),
        left_(products),
        rows_(left_.rows()),
        pool_(ThreadPool::instance()),
        threads_(pool_.threads()) {}

  void operator()() {
    int64_t mostRank = 0;
    for (const RowPart& part : rows_.parts()) mostRank = std::max(mostRank, part.segment.rank);
    const int64_t rankWords = stepsOf(kernels_, mostRank) * kernels_.leftWords;
    if (p_.int8.present()) {
      const int64_t steps = p_.int8.panels.steps, words = steps * p_.int8.kernels->leftWords;
      return runBlock({0, p_.k, true, true, steps, words, words + rankWords + 1});
    }
    const int64_t steps = stepsOf(kernels_, p_.k);
    const int64_t blocks = ceilDiv(steps, p_.bRows == nullptr ? kBlockSteps : kBlockStepsTransposed);
    const int64_t units = steps / kernels_.unit;
    for (int64_t i = 0; i < blocks; i++) {
      const int64_t begin = i * units / blocks * kernels_.unit, end = (i + 1) * units / blocks * kernels_.unit;
      Block block{begin * kernels_.depth, 0, i == 0, i == blocks - 1, end - begin, 0, 0};
      block.k = std::min(p_.k, end * kernels_.depth) - block.k0;
      block.baseWords = block.steps * kernels_.leftWords;
      block.words = block.baseWords + (block.last ? rankWords : 0);
      runBlock(block);
    }
  }

 private:
  void runBlock(const Block& block) {
    right_ = p_.nf4.present() ? Panels(kernels_, p_.k, p_.n) : p_.b;
    if (p_.bRows != nullptr) {
      right_ = Panels(kernels_, block.k, p_.n);
      packedRight_ = wordWorkspace(WorkspaceSlot::rightPanels, right_.words());
      right_.data = packedRight_;
    }
    int64_t most = std::max(kSuperBlockBytes / (block.words * int64_t{4}) / left_.mr(), int64_t{2} * threads_);
    for (const Product* each : products_)
      if (each->rowsAtOnce > 0) most = std::min(most, std::max<int64_t>(1, each->rowsAtOnce / left_.mr()));
    const int64_t superBlocks = ceilDiv(rows_.count(), most);
    for (int64_t s = 0; s < superBlocks; s++) {
      const int64_t begin = s * rows_.count() / superBlocks, end = (s + 1) * rows_.count() / superBlocks;
      const SuperBlock part{begin, end - begin, rows_.begin(begin)};
      const int64_t endRow = rows_.begin(end);
      left_.begin(block, part);
      if (byRows(part)) {
        rowJobs(block, part);
      } else {
        pack(block, part, s == 0);
        tiles(block, part);
      }
      if (block.last) tellRows(part.firstRow, endRow);
    }
  }

  void tellRows(int64_t begin, int64_t end) const {
    int64_t first = 0;
    for (const Product* each : products_) {
      const int64_t from = std::max(begin - first, int64_t{0}), to = std::min(end - first, each->m);
      if (each->afterRows && from < to) each->afterRows(from, to);
      first += each->m;
    }
  }

  void pack(const Block& block, const SuperBlock& part, bool firstRows) {
    const int64_t chunksOfK = ceilDiv(block.k, kPackRows);
    const int64_t rightChunks = firstRows && p_.bRows != nullptr ? chunksOfK : 0;
    const bool byTiles = std::any_of(rows_.parts().begin(), rows_.parts().end(),
                                     [](const RowPart& each) { return each.segment.low.byTiles(); });
    const int64_t group =
        byTiles && !p_.int8.present() ? std::clamp<int64_t>(part.panels / (4 * threads_), 1, LeftPanels::kTogether) : 1;
    const int64_t leftChunks = p_.aTransposed ? chunksOfK : ceilDiv(part.panels, group);
    pool_.parallelFor(rightChunks + leftChunks, [&](int64_t chunk, int thread) {
      if (chunk < rightChunks) {
        const int64_t begin = chunk * kPackRows;
        packPanelsFromColumns(kernels_, p_.bRows + block.k0 * p_.ldb, p_.ldb, right_, begin,
                              std::min(block.k, begin + kPackRows), packedRight_);
      } else if (p_.aTransposed) {
        const int64_t begin = (chunk - rightChunks) * kPackRows;
        left_.packTransposed(begin, std::min(block.k, begin + kPackRows) - begin);
      } else {
        const int64_t begin = (chunk - rightChunks) * group;
        left_.pack(part.firstPanel + begin, part.firstPanel + std::min(part.panels, begin + group), thread);
      }
    });
  }

  // Jobs that pack rows and multiply them by all of B. Where tiles are as fast as those of AMX,
  // rows that another thread packed would come too slowly from its cache.
  bool byRows(const SuperBlock& part) const {
    const bool wanted = p_.int8.present() ? p_.int8.kernels->jobsOfRows : kernels_.jobsOfRows;
    return wanted && !p_.aTransposed && p_.bRows == nullptr && !p_.nf4.present() &&
           part.panels >= kPanelsOfRowJob * threads_;
  }

  void rowJobs(const Block& block, const SuperBlock& part) {
    const int64_t each = std::clamp<int64_t>(panelsInCache(block), 1, ceilDiv(part.panels, threads_));
    // A multiple of the threads, if there are so many panels: no group is empty.
    const int64_t groups = std::min(part.panels, ceilDiv(ceilDiv(part.panels, each), threads_) * threads_);
    pool_.parallelFor(groups, [&](int64_t group, int thread) {
      const int64_t begin = group * part.panels / groups, end = (group + 1) * part.panels / groups;
      for (int64_t p = begin; p < end; p += LeftPanels::kTogether)
        left_.pack(part.firstPanel + p, part.firstPanel + std::min(end, p + LeftPanels::kTogether), thread);
      for (int64_t column = 0; column < columnPanels(); column++)
        columnTiles(block, part, {column, (column + 1) % columnPanels(), begin, end, thread});
    });
  }

  // Jobs of a column panel and a group of row panels.
  void tiles(const Block& block, const SuperBlock& part) {
    const int64_t columns = columnPanels();
    const int64_t balanced = part.panels * columns / (kJobsPerThread * threads_);
    const int64_t group = std::clamp<int64_t>(std::min(panelsInCache(block), balanced), 1, kMaxGroup);
    const int64_t groups = ceilDiv(part.panels, group);
    pool_.parallelFor(groups * columns, [&](int64_t job, int thread) {
      const int64_t g = job / columns, column = job % columns;
      // Threads keep in step: what this one most likely takes next.
      const int64_t next = (column + threads_) % columns;
      columnTiles(block, part, {column, next, g * part.panels / groups, (g + 1) * part.panels / groups, thread});
    });
  }

  // Row panels that fill half of the L2 cache.
  int64_t panelsInCache(const Block& block) const { return cacheL2() / 2 / (left_.mr() * block.words * int64_t{4}); }
  int64_t columnPanels() const { return p_.int8.present() ? p_.int8.panels.count() : right_.count(); }

  // A column panel, the one that is taken next, and row panels counted from the super-block's
  // first.
  struct ColumnJob {
    int64_t column, next, begin, end;
    int thread;
  };

  void columnTiles(const Block& block, const SuperBlock& part, const ColumnJob& job) {
    if (p_.int8.present()) return int8Tiles(block, part, job);
    Tile t = p_.nf4.present() ? expandedTile(block, job) : columnTile(block, job);
    // The shares of the tiles are rounded up, so the last ones begin earlier: none is beyond it.
    const char* lastShare = t.prefetch + (kernels_.nr * int64_t{4} - t.prefetchStep) * block.steps;
    for (int64_t panel = job.begin; panel < job.end; panel++) {
      placeTile(block, part.firstPanel + panel, job.column, t);
      if (p_.accumulate || !block.first) t.start = t.c;
      kernels_.tile(t);
      t.prefetch = std::min(t.prefetch + t.prefetchStep * block.steps, lastShare);
    }
  }

  void int8Tiles(const Block& block, const SuperBlock& part, const ColumnJob& job) {
    const Int8Panels& right = p_.int8.panels;
    auto* sums = static_cast<float*>(pool_.scratch(job.thread, left_.mr() * right.nr * int64_t{4}));
    const int64_t j = job.column * right.nr;
    Int8Tile codes;
    codes.b = right.panel(job.column);
    codes.steps = right.steps;
    codes.columns = static_cast<int>(std::min<int64_t>(right.nr, p_.n - j));
    codes.columnScales = p_.int8.use == WeightUse::forward ? right.scales + j : nullptr;
    codes.offsets = right.offsets + j;
    codes.prefetchStep = ceilDiv(right.nr * int64_t{4}, job.end - job.begin);
    codes.prefetch = reinterpret_cast<const char*>(right.panel(job.next));
    const char* lastShare = codes.prefetch + (right.nr * int64_t{4} - codes.prefetchStep) * right.steps;
    Tile rest(right.panel(job.next), 0);
    finishColumnTile(block, job.column, rest);
    rest.steps0 = 0;
    rest.start = sums;
    rest.ldStart = right.nr;
    codes.end = &rest;
    for (int64_t panel = job.begin; panel < job.end; panel++) {
      placeTile(block, part.firstPanel + panel, job.column, rest);
      Word* left = left_.panel(part.firstPanel + panel);
      codes.a = left;
      codes.rows = rest.rows;
      // Bias alone needs no second part.
      const bool whole = rest.steps1 == 0 && rest.residual == nullptr && rest.preActivation == nullptr &&
                         rest.slopeAt == nullptr && rest.activation == KernelActivation::none;
      codes.c = whole ? rest.c : sums;
      codes.ldc = whole ? p_.n : right.nr;
      codes.bias = whole ? rest.bias : nullptr;
      codes.rowScales = left_.int8RowScales(part.firstPanel + panel);
      p_.int8.kernels->tile(codes);
      codes.prefetch = std::min(codes.prefetch + codes.prefetchStep * right.steps, lastShare);
      if (whole) continue;
      const Word* update = left + block.baseWords * rest.rows;
      left_.forTileRows(part.firstPanel + panel,
                        [&](int first, int rows) { kernels_.tile(rowsOf(rest, first, rows, update, sums)); });
    }
  }

  // The end of some rows of a tile whose sums of codes are made, with the words of u that follow.
  Tile rowsOf(const Tile& whole, int first, int rows, const Word* update, const float* sums) const {
    Tile t = whole;
    const int64_t skipped = first * p_.n;
    t.rows = rows;
    t.a = update + first * t.steps1 * kernels_.leftWords;
    t.start = sums + first * t.ldStart;
    t.c += skipped;
    if (t.residual != nullptr) t.residual += skipped;
    if (t.preActivation != nullptr) t.preActivation += skipped;
    if (t.slopeAt != nullptr) t.slopeAt += skipped;
    return t;
  }

  // What the tiles that use one column panel have in common. Each of them fetches its share of the
  // next column panel. Without that the first tile of every panel waits for the L3 cache, for a
  // quarter of the whole time.
  Tile columnTile(const Block& block, const ColumnJob& job) const {
    const int64_t offset = p_.bRows == nullptr ? block.k0 / kernels_.depth * kernels_.nr : 0;
    Tile t(right_.panel(job.next) + offset, ceilDiv(kernels_.nr * int64_t{4}, job.end - job.begin));
    t.b0 = right_.panel(job.column) + offset;
    finishColumnTile(block, job.column, t);
    return t;
  }

  // The same of a panel that is made here, in memory of this thread, which its jobs use in turn.
  Tile expandedTile(const Block& block, const ColumnJob& job) const {
    const int64_t words = nf4PanelWords(kernels_, p_.nf4, block.k);
    auto* memory = static_cast<Word*>(pool_.scratch(job.thread, words * static_cast<int64_t>(sizeof(Word))));
    nf4Panel(kernels_, p_.nf4, job.column, block.k0, block.k, memory);
    Tile t(memory, 0);
    t.b0 = memory;
    finishColumnTile(block, job.column, t);
    return t;
  }

  void finishColumnTile(const Block& block, int64_t column, Tile& t) const {
    const int64_t j = column * kernels_.nr;
    t.steps0 = block.steps;
    t.partial = !block.last;
    t.columns = static_cast<int>(std::min<int64_t>(kernels_.nr, p_.n - j));
    t.ldc = t.ldStart = t.ldResidual = t.ldPreActivation = t.ldSlopeAt = p_.n;
  }

  void placeTile(const Block& block, int64_t panel, int64_t column, Tile& t) const {
    const Product& own = *rows_.partOf(panel).product;
    const int64_t j = column * kernels_.nr, at = rows_.ownRow(panel) * p_.n + j;
    t.rows = rows_.size(panel);
    t.a = left_.panel(panel);
    t.c = own.c + at;
    if (!block.last) return;
    const ProductSegment& segment = left_.segmentOf(panel);
    t.steps1 = stepsOf(kernels_, segment.rank);
    if (segment.rank != 0) t.b1 = segment.adapter.panel(column);
    t.bias = own.bias == nullptr ? nullptr : own.bias + j;
    t.residual = own.residual == nullptr ? nullptr : own.residual + at;
    t.preActivation = own.preActivation == nullptr ? nullptr : own.preActivation + at;
    t.slopeAt = own.slopeAt == nullptr ? nullptr : own.slopeAt + at;
    t.activation = own.activation;
  }

  const std::span<const Product* const> products_;
  // The first of them, for what all have in common.
  const Product& p_;
  const Kernels& kernels_;
  LeftPanels left_;
  const RowPanels& rows_;
  ThreadPool& pool_;
  const int threads_;
  Panels right_;
  Word* packedRight_ = nullptr;
};

}  // namespace

void multiply(const Product& product) {
  const Product* one = &product;
  multiply({&one, 1});
}

void multiply(std::span<const Product* const> products) {
  const Product& first = *products.front();
  const bool anyRows = std::any_of(products.begin(), products.end(), [](const Product* p) { return p->m > 0; });
  if (anyRows && first.n > 0 && first.k > 0) Run{products}();
}

}  // namespace fl::cpu
