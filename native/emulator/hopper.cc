// Barriers in shared memory, the copy engine and wgmma on the CPU. Everything asynchronous happens
// as late as it may: copies arrive when their barrier is waited for, products are made and stores
// read when they are waited for. Until then a copy's place and the sums of a product hold NaN;
// operands that change under a product end the process. What the calls mean: hopper.h.
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

#include "cuda/hopper/swizzle.h"
#include "grid.h"
#include "tensor_core_model.h"

namespace fl::emulator {
namespace {

[[noreturn]] void fatal(const char* what) {
  std::fprintf(stderr, "a kernel: %s\n", what);
  std::abort();
}

constexpr uint32_t kNotYet = 0xFFFFFFFF;  // a NaN, as float and as two bf16

struct Matrix {
  char* data;
  int64_t rows, cols, boxRows, boxCols, elementBytes;
  explicit Matrix(const uint64_t* words)
      : data(reinterpret_cast<char*>(words[0])),
        rows(static_cast<int64_t>(words[1])),
        cols(static_cast<int64_t>(words[2])),
        boxRows(static_cast<int64_t>(words[3])),
        boxCols(static_cast<int64_t>(words[4])),
        elementBytes(static_cast<int64_t>(words[5])) {}
  int64_t boxBytes() const { return boxRows * 128; }
  /// Calls visit(element or null outside, its place in shared memory) for each of a box at (row,
  /// col).
  template <class Visit>
  void forBox(char* shared, int row, int col, const Visit& visit) const {
    if (sharedAddress(shared) % 1024 != 0) fatal("a box does not begin at an atom of the swizzle");
    if (boxCols * elementBytes != 128) fatal("rows of a box are not the swizzle's 128 bytes");
    char* const memory = shared - sharedAddress(shared);
    for (int64_t r = 0; r < boxRows; r++)
      for (int64_t c = 0; c < boxCols; c++) {
        const bool inside = row + r < rows && col + c < cols;
        const auto address = static_cast<uint32_t>(sharedAddress(shared) + r * 128 + c * elementBytes);
        visit(inside ? data + ((row + r) * cols + col + c) * elementBytes : nullptr,
              memory + cuda::hopper::swizzled(address));
      }
  }
};

struct Load {
  Matrix matrix;
  char* shared;
  int row, col;
};

/// A barrier in shared memory: phases are how often `phase` opened.
struct PhaseBarrier {
  Barrier phase;
  int count = 0, arrived = 0, waiters = 0;
  int64_t bytes = 0;
  std::vector<Load> loads;

  void check() {
    if (arrived > count) fatal("more arrivals at a barrier than it counts");
    if (arrived < count || bytes != 0) return;
    arrived = 0;
    phase.opened++;
  }
  void deliver() {
    std::vector<Load> now;
    now.swap(loads);
    for (const Load& load : now) {
      const auto size = static_cast<size_t>(load.matrix.elementBytes);
      load.matrix.forBox(load.shared, load.row, load.col, [size](const char* from, char* to) {
        if (from)
          std::memcpy(to, from, size);
        else
          std::memset(to, 0, size);
      });
      bytes -= load.matrix.boxBytes();
    }
    if (!now.empty()) check();
  }
};

std::map<const void*, PhaseBarrier>& barriers() {
  static auto& all = *new std::map<const void*, PhaseBarrier>;
  return all;
}

PhaseBarrier& barrierAt(const void* place) {
  const auto found = barriers().find(place);
  if (found == barriers().end()) fatal("a barrier in shared memory is used before it was initialised");
  return found->second;
}

float toFloat(uint16_t half) {
  const uint32_t bits = uint32_t{half} << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

struct Product {
  float* d;
  int columns;
  uint64_t a, b;
  bool acrossB, accumulate, fromRegisters;
  /// What one thread of the warpgroup saw of the operands in shared memory.
  uint64_t seen;
};

struct Store {
  Matrix matrix;
  const char* shared;
  int row, col;
};

/// What a thread has under way.
struct Work {
  std::vector<std::vector<Product>> products{1};
  /// Sums of products under way, by where they lie; meanwhile those places hold NaN.
  std::map<float*, std::vector<float>> sums;
  std::vector<std::vector<Store>> stores{1};
};

std::vector<Work>& works() {
  static auto& all = *new std::vector<Work>;
  return all;
}
Work& work() { return works()[currentThread()]; }

uint16_t elementAt(uint64_t descriptor, bool across, int index, int k) {
  const char* const memory = sharedMemoryOf(currentBlock());
  uint16_t value;
  std::memcpy(&value, memory + cuda::hopper::elementAddress(descriptor, across, index, k), 2);
  return value;
}

/// Of the operands, by the first thread of the warpgroup.
uint64_t lookAt(const Product& p) {
  if (threadIdx.x % 128 != 0) return 0;
  uint64_t sum = 14695981039346656037u;
  const auto add = [&](uint16_t value) { sum = (sum ^ value) * 1099511628211u; };
  for (int k = 0; k < 16; k++) {
    for (int n = 0; n < p.columns; n++) add(elementAt(p.b, p.acrossB, n, k));
    for (int m = 0; m < 64 && !p.fromRegisters; m++) add(elementAt(p.a, false, m, k));
  }
  return sum;
}

void begin(Product p) {
  p.seen = lookAt(p);
  auto& sums = work().sums;
  if (sums.find(p.d) == sums.end()) {
    sums[p.d] = std::vector<float>(p.d, p.d + p.columns / 2);
  } else if (sums[p.d].size() < static_cast<size_t>(p.columns / 2)) {
    fatal("products of different widths on the same sums without a wait");
  }
  for (int i = 0; i < p.columns / 2; i++) std::memcpy(p.d + i, &kNotYet, 4);
  work().products.back().push_back(p);
}

/// Rows of the left operand of this thread, 16 steps: from shared memory.
void finish(const Product& p, const uint16_t (&left)[2][16], std::vector<float>& sums) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int j = 0; j < p.columns / 8; j++)
    for (int i = 0; i < 2; i++) {
      const int column = 8 * j + lane % 4 * 2 + i;
      float right[16];
      for (int k = 0; k < 16; k++) right[k] = toFloat(elementAt(p.b, p.acrossB, column, k));
      for (int h = 0; h < 2; h++) {
        float& sum = sums[static_cast<size_t>(4 * j + 2 * h + i)];
        float value = p.accumulate ? sum : 0.0f;
        for (int first = 0; first < 16; first += 8) {
          float a[8], b[8];
          for (int k = 0; k < 8; k++) {
            a[k] = toFloat(left[h][first + k]);
            b[k] = right[first + k];
          }
          value = addEight(value, a, b);
        }
        sum = value;
      }
    }
}

void waitForWarpgroup() {
  constexpr int kFirst = 16;  // after those of bar.sync
  namedBarrier(kFirst + static_cast<int>(threadIdx.x) / 128, 128);
}

/// The left operands that multiplyFrom took from registers, by product.
std::map<std::pair<unsigned, size_t>, std::array<std::array<uint16_t, 16>, 2>>& registersOf() {
  static auto& all = *new std::map<std::pair<unsigned, size_t>, std::array<std::array<uint16_t, 16>, 2>>;
  return all;
}

}  // namespace

void beginCluster() {
  barriers().clear();
  works().assign(static_cast<size_t>(blocksOfCluster()) * blockDim.x, {});
  registersOf().clear();
}

bool hopperWorkIsDone() {
  const Work& w = work();
  for (const auto& group : w.products)
    if (!group.empty()) return false;
  for (const auto& group : w.stores)
    if (!group.empty()) return false;
  return w.sums.empty();
}

uint32_t sharedAddress(const void* shared) {
  const auto* const place = static_cast<const char*>(shared);
  for (int block = 0; block < blocksOfCluster(); block++) {
    const int64_t offset = place - sharedMemoryOf(block);
    if (offset >= 0 && offset < static_cast<int64_t>(kMostShared)) return static_cast<uint32_t>(offset);
  }
  fatal("an address is not in shared memory");
}

void initBarrier(void* barrier, int count) {
  PhaseBarrier fresh;
  fresh.count = count;
  barriers()[barrier] = fresh;
}

void arrive(void* barrier, int expectedBytes) {
  PhaseBarrier& b = barrierAt(barrier);
  b.arrived++;
  b.bytes += expectedBytes;
  b.check();
}

void* ofBlock(void* shared, int rank) { return sharedMemoryOf(rank) + sharedAddress(shared); }

void waitForPhase(void* barrier, uint32_t parity) {
  PhaseBarrier& b = barrierAt(barrier);
  b.waiters++;
  b.deliver();
  while ((b.phase.opened & 1) == parity) waitUntilOpened(b.phase);
  b.waiters--;
}

void loadBox(const uint64_t* map, void* shared, void* barrier, int row, int col, unsigned blocks) {
  for (int block = 0; block < blocksOfCluster(); block++) {
    if ((blocks >> block & 1) == 0) continue;
    const Load load{Matrix(map), static_cast<char*>(ofBlock(shared, block)), row, col};
    const auto size = static_cast<size_t>(load.matrix.elementBytes);
    load.matrix.forBox(load.shared, row, col, [size](const char*, char* to) { std::memset(to, 0xFF, size); });
    PhaseBarrier& b = barrierAt(ofBlock(barrier, block));
    b.loads.push_back(load);
    if (b.waiters > 0) b.deliver();
  }
}

void storeBox(const uint64_t* map, const void* shared, int row, int col) {
  work().stores.back().push_back({Matrix(map), static_cast<const char*>(shared), row, col});
}

void endStores() { work().stores.emplace_back(); }

void waitForReads(int left) {
  auto& groups = work().stores;
  while (static_cast<int>(groups.size()) - 1 > left) {
    for (const Store& store : groups.front()) {
      const auto size = static_cast<size_t>(store.matrix.elementBytes);
      store.matrix.forBox(const_cast<char*>(store.shared), store.row, store.col, [size](char* to, const char* from) {
        if (to) std::memcpy(to, from, size);
      });
    }
    groups.erase(groups.begin());
  }
}

int clusterRank() { return currentBlock(); }

void clusterBarrier() { waitAt(barrierOfCluster()); }

void namedBarrier(int id, int threads) {
  Barrier& barrier = barrierWithNumber(id);
  barrier.live = threads;
  waitAt(barrier);
}

void beginProducts() {}

void endProducts() { work().products.emplace_back(); }

void multiply(float* d, int columns, uint64_t a, uint64_t b, bool acrossB, bool accumulate) {
  begin({d, columns, a, b, acrossB, accumulate, false, 0});
}

void multiplyFrom(float* d, int columns, const uint32_t (&a)[4], uint64_t b, bool acrossB) {
  begin({d, columns, 0, b, acrossB, true, true, 0});
  // A key of its own: which product of the thread it is.
  auto& group = work().products.back();
  group.back().a = registersOf().size() + 1;
  // Word i: row i % 2 of the two, steps 8 (i / 2) + 2 q and the next; the other lanes of the quad
  // have the others.
  auto& rows = registersOf()[{currentThread(), group.back().a}];
  for (int i = 0; i < 4; i++)
    for (int q = 0; q < 4; q++) {
      const uint32_t word = __shfl_sync(0xFFFFFFFFu, a[i], static_cast<int>(threadIdx.x) % 32 / 4 * 4 + q);
      rows[static_cast<size_t>(i % 2)][static_cast<size_t>(i / 2 * 8 + 2 * q)] = static_cast<uint16_t>(word);
      rows[static_cast<size_t>(i % 2)][static_cast<size_t>(i / 2 * 8 + 2 * q + 1)] = static_cast<uint16_t>(word >> 16);
    }
}

void waitForProducts(int left) {
  // Products are the warpgroup's: they are made when all of its threads are here, and none goes on
  // before all are done.
  waitForWarpgroup();
  auto& groups = work().products;
  while (static_cast<int>(groups.size()) - 1 > left) {
    for (const Product& p : groups.front()) {
      if (lookAt(p) != p.seen) fatal("an operand changed while a product was reading it");
      uint16_t rows[2][16];
      const int thread = static_cast<int>(threadIdx.x) % 128, row = thread / 32 * 16 + thread % 32 / 4;
      for (int h = 0; h < 2; h++)
        for (int k = 0; k < 16; k++)
          rows[h][k] = p.fromRegisters
                           ? registersOf()[{currentThread(), p.a}][static_cast<size_t>(h)][static_cast<size_t>(k)]
                           : elementAt(p.a, false, row + 8 * h, k);
      finish(p, rows, work().sums[p.d]);
    }
    groups.erase(groups.begin());
  }
  // What no product is under way on any more is there.
  auto& sums = work().sums;
  for (auto it = sums.begin(); it != sums.end();) {
    bool underWay = false;
    for (const auto& group : groups)
      for (const Product& p : group) underWay = underWay || p.d == it->first;
    if (underWay) {
      ++it;
      continue;
    }
    for (size_t i = 0; i < it->second.size(); i++) {
      uint32_t bits;
      std::memcpy(&bits, it->first + i, 4);
      if (bits != kNotYet) fatal("sums were touched while a product was adding to them");
    }
    std::memcpy(it->first, it->second.data(), it->second.size() * 4);
    it = sums.erase(it);
  }
  waitForWarpgroup();
}

}  // namespace fl::emulator
