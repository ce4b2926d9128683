// What the register tiles of the CPU prefetch: memory of the panels that they were given, at every
// step, for products and for the low-rank ones beside them; with int8 codes also the rows that the
// sums end in. Results are in product_tests.cc.
#include <algorithm>
#include <cmath>

#include "cpu/dispatch.h"
#include "cpu/gemm/int8_panels.h"
#include "cpu/gemm/low_rank.h"
#include "cpu/gemm/product.h"
#include "runtime/thread_pool.h"
#include "test/tests.h"

namespace fl::test {
namespace {

using cpu::Kernels;
using cpu::Panels;
using cpu::Tile;
using cpu::Word;

/// Tiles that ran, and of these the ones that prefetched outside of [begin, end).
struct Spy {
  const char *begin = nullptr, *end = nullptr;
  int tiles = 0, outside = 0;
};
Spy spy;
void (*realTile)(const Tile&);

void spyingTile(const Tile& t) {
  spy.tiles++;
  // The address is moved on before each of these steps but the first.
  const char* last = t.prefetch + t.prefetchStep * std::max<int64_t>(0, t.steps0 - 1);
  if (t.prefetch < spy.begin || last >= spy.end) spy.outside++;
  realTile(t);
}

/// The kernels with a tile that looks at what it is given, at one thread.
Kernels spying(const Kernels& real, const Panels& panels) {
  Kernels kernels = real;
  realTile = kernels.tile;
  kernels.tile = spyingTile;
  spy = {reinterpret_cast<const char*>(panels.data), reinterpret_cast<const char*>(panels.data + panels.words())};
  return kernels;
}

void expectGiven(const std::string& what) {
  check(spy.tiles > 0, what + ": no tile ran");
  check(spy.outside == 0, what + ": " + std::to_string(spy.outside) + " of " + std::to_string(spy.tiles) +
                              " tiles prefetch outside of their panels");
}

void lowRankTiles(const Kernels& kernels) {
  const int64_t rows = 29, k = 70;
  for (const int64_t rank : {24, 32, 64, 100}) {
    std::vector<float> x(static_cast<size_t>(rows * k), 0.5f), a(static_cast<size_t>(rank * k), 0.25f);
    std::vector<float> u(static_cast<size_t>(rows * rank));
    const Tensor A = Tensor::of(a.data(), DType::f32, {rank, k});
    const cpu::LowRank low = cpu::lowRank(kernels, A, cpu::WeightUse::forward, 2);
    check(low.byTiles(), "rank " + std::to_string(rank) + " is made by tiles");
    cpu::lowRankInput(spying(kernels, low.panels), low, x.data(), rows, k, u.data());
    expectGiven("u of rank " + std::to_string(rank));
    check(std::all_of(u.begin(), u.end(), [](float v) { return v == 2 * 70 * 0.125f; }), "u is s x A^T");
  }
}

/// Row panels in several groups, several column panels, and a sum over two blocks of k.
void productTiles(const Kernels& kernels) {
  struct Shape {
    int64_t m, n, k;
  };
  for (const Shape& s : {Shape{5, 9, 33}, Shape{130, 70, 40}, Shape{411, 200, 1700}}) {
    std::vector<float> a(static_cast<size_t>(s.m * s.k), 1.0f), c(static_cast<size_t>(s.m * s.n));
    Panels b(kernels, s.k, s.n);
    std::vector<Word> words(static_cast<size_t>(b.words()));
    b.data = words.data();
    const Kernels spies = spying(kernels, b);
    cpu::Product p(spies);
    p.m = s.m;
    p.n = s.n;
    p.k = s.k;
    p.a = a.data();
    p.lda = s.k;
    p.b = b;
    p.c = c.data();
    cpu::multiply(p);
    expectGiven("a product of " + std::to_string(s.m) + " x " + std::to_string(s.k) + " x " + std::to_string(s.n));
  }
}

cpu::Int8Tile lastCodes;
void (*realInt8Tile)(const cpu::Int8Tile&);
int codesWithoutEnd = 0, codesElsewhere = 0;

/// The tile that follows is the one whose memory the codes' tile was told to fetch.
void spyingInt8Tile(const cpu::Int8Tile& t) {
  if (t.end == nullptr) codesWithoutEnd++;
  lastCodes = t;
  realInt8Tile(t);
}

void spyingEnd(const Tile& t) {
  spy.tiles++;
  const Tile& told = *lastCodes.end;
  const int64_t skipped = t.c - told.c;
  const bool inside = skipped >= 0 && skipped / told.ldc + t.rows <= lastCodes.rows && skipped % told.ldc == 0;
  if (!inside || t.residual != told.residual + skipped || t.slopeAt != told.slopeAt + skipped) codesElsewhere++;
  realTile(t);
}

/// Rows in several panels, columns that fill no panel, ends that read.
void int8Tiles(const Kernels& real) {
  const int64_t m = 75, n = 150, k = 70;
  std::vector<float> a(static_cast<size_t>(m * k), 1.0f), w(static_cast<size_t>(n * k), 1.0f);
  std::vector<float> c(static_cast<size_t>(m * n)), residual(c.size(), 1.0f), slopeAt(c.size(), 1.0f);
  Kernels kernels = real;
  realTile = kernels.tile;
  kernels.tile = spyingEnd;
  cpu::Int8Kernels codes = cpu::int8Kernels();
  realInt8Tile = codes.tile;
  codes.tile = spyingInt8Tile;
  spy = {};
  codesWithoutEnd = codesElsewhere = 0;
  cpu::Product p(kernels);
  p.m = m;
  p.n = n;
  p.k = k;
  p.a = a.data();
  p.lda = k;
  p.int8 = cpu::int8Weight(cpu::int8Kernels(), Tensor::of(w.data(), DType::f32, {n, k}), cpu::WeightUse::forward);
  p.int8.kernels = &codes;
  p.c = c.data();
  p.residual = residual.data();
  p.slopeAt = slopeAt.data();
  p.activation = cpu::KernelActivation::relu;
  cpu::multiply(p);
  check(spy.tiles > 0 && codesWithoutEnd == 0, "codes are summed without the rows that they end in");
  check(codesElsewhere == 0, std::to_string(codesElsewhere) + " tiles end where no memory was fetched");
  check(std::all_of(c.begin(), c.end(), [](float v) { return std::abs(v - 71) < 1e-3f; }), "a b + residual");
}

/// At one thread, because the spy counts without locks.
void alone(void (*body)(const Kernels&)) {
  ThreadPool& pool = ThreadPool::instance();
  const int threads = pool.threads();
  pool.setThreads(1);
  for (const Precision precision : {Precision::fp32, Precision::bf16}) body(cpu::kernelsFor(precision));
  pool.setThreads(threads);
}

}  // namespace

void addPrefetchTests(Suite& suite) {
  suite.add("prefetch/lowRank", [] { alone(lowRankTiles); });
  suite.add("prefetch/product", [] { alone(productTiles); });
  suite.add("prefetch/int8", [] { alone(int8Tiles); });
}

}  // namespace fl::test
