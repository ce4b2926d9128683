// Runs a launched kernel, as stream.cc asks: blocks one after the other, a block's threads on
// fibers. A fiber runs thread after thread until one has to wait at a barrier, and only then
// another fiber begins: kernels without barriers never change fibers.
//
// FUSED_LORA_EMULATOR_ORDER=backward takes threads and blocks from the last to the first: a result
// that depends on it shows a missing barrier.
#include <cuda_runtime.h>
#include <setjmp.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "device.h"
#include "faults.h"
#include "grid.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace fl::emulator {
namespace {

constexpr int kWarp = 32;
constexpr int kMostBlocks = 2;
/// What every kernel may have, and what one that asks may: on an sm_86, which has the least of
/// those supported, and on compute capability 9.0.
constexpr size_t kWithoutAsking = size_t{48} << 10, kOnAll = size_t{99} << 10;
size_t mostShared() { return fault("capability").value_or(80) >= 90 ? kMostShared : kOnAll; }
alignas(1024) char sharedMemory[kMostBlocks][kMostShared];

/// By kernel, of those that asked.
std::map<const void*, size_t>& allowedShared() {
  static auto& all = *new std::map<const void*, size_t>;
  return all;
}
constexpr size_t kStack = size_t{256} << 10;

struct Warp {
  Barrier barrier;
  // Two sets, since a lane may show its next word before the others have read the last.
  uint64_t words[2][kWarp];
  unsigned present[2] = {0, 0};
  std::array<uint32_t, 6> fragments[2][kWarp];
  unsigned live = 0;
};

/// Where an execution goes on. swapcontext saves the signal mask with a system call, _setjmp does
/// not: contexts only begin fibers.
struct Place {
  ucontext_t context;
  jmp_buf jump;
  bool begun = false;
};

void changeTo(Place& to, Place& from) {
  from.begun = true;
  if (_setjmp(from.jump) != 0) return;
  if (to.begun) _longjmp(to.jump, 1);
  to.begun = true;
  setcontext(&to.context);
}

struct Fiber {
  Place place;
  std::unique_ptr<char[]> stack;
  /// What it waits for; null: it has run out of threads.
  const Barrier* barrier = nullptr;
  uint64_t opened = 0;
  unsigned thread = 0;
};

bool backward() {
  static const bool value = [] {
    const char* order = std::getenv("FUSED_LORA_EMULATOR_ORDER");
    return order != nullptr && std::strcmp(order, "backward") == 0;
  }();
  return value;
}

/// The cluster of blocks that runs: one block where nothing is said of clusters.
class Cluster {
 public:
  void run(unsigned threads, unsigned blocks, uint3 firstBlock, const std::function<void()>& thread) {
    threads_ = threads;
    blocks_ = blocks;
    firstBlock_ = firstBlock;
    thread_ = &thread;
    next_ = 0;
    all_ = Barrier{};
    all_.live = static_cast<int>(threads * blocks);
    whole_.assign(blocks, Barrier{});
    for (Barrier& barrier : whole_) barrier.live = static_cast<int>(threads);
    numbered_.assign(blocks * kNumbers, Barrier{});
    warpsOfBlock_ = (threads + kWarp - 1) / kWarp;
    warps_.assign(warpsOfBlock_ * blocks, Warp{});
    for (unsigned t = 0; t < threads * blocks; t++) {
      Warp& warp = warpOf(t);
      warp.barrier.live++;
      warp.live |= 1u << t % threads % kWarp;
    }
    beginCluster();
    for (size_t i = 0; all_.live > 0; i = 0) {
      bool progress = false;
      for (; i < fibers_.size(); i++) {
        Fiber& fiber = *fibers_[i];
        if (fiber.barrier == nullptr || fiber.barrier->opened == fiber.opened) continue;
        fiber.barrier = nullptr;
        resume(fiber);
        progress = true;
      }
      if (next_ < threads_ * blocks_) {
        resume(idleFiber());
        progress = true;
      }
      if (!progress) {
        std::fprintf(stderr, "a kernel does not end: some of its threads wait at a barrier that others never reach\n");
        std::abort();
      }
    }
  }

  void wait(Barrier& barrier) {
    const uint64_t before = barrier.opened;
    barrier.waiting++;
    barrier.arriveOrLeave();
    if (barrier.opened == before) waitUntilOpened(barrier);
  }

  void waitUntilOpened(Barrier& barrier) {
    Fiber& fiber = *current_;
    fiber.barrier = &barrier;
    fiber.opened = barrier.opened;
    changeTo(scheduler_, fiber.place);
  }

  Barrier& all() { return all_; }
  Barrier& whole() { return whole_[block()]; }
  Barrier& numbered(int id) { return numbered_[block() * kNumbers + static_cast<unsigned>(id)]; }
  Warp& warp() { return warpOf(current_->thread); }
  int lane() const { return static_cast<int>(current_->thread % threads_ % kWarp); }
  unsigned thread() const { return current_->thread; }
  unsigned block() const { return current_->thread / threads_; }
  unsigned blocks() const { return blocks_; }

  static Cluster& instance() {
    static Cluster& cluster = *new Cluster;
    return cluster;
  }

 private:
  static constexpr unsigned kNumbers = 32;

  Warp& warpOf(unsigned thread) { return warps_[thread / threads_ * warpsOfBlock_ + thread % threads_ / kWarp]; }

  Fiber& idleFiber() {
    for (const auto& fiber : fibers_)
      if (fiber->barrier == nullptr) return *fiber;
    fibers_.push_back(std::make_unique<Fiber>());
    Fiber& fiber = *fibers_.back();
    fiber.stack = std::make_unique<char[]>(kStack);
    ucontext_t& context = fiber.place.context;
    getcontext(&context);
    context.uc_stack.ss_sp = fiber.stack.get();
    context.uc_stack.ss_size = kStack;
    makecontext(
        &context, [] { instance().fiberMain(); }, 0);
    return fiber;
  }

  void become(unsigned thread) {
    current_->thread = thread;
    threadIdx.x = thread % threads_;
    blockIdx = firstBlock_;
    blockIdx.x += thread / threads_;
  }

  void resume(Fiber& fiber) {
    current_ = &fiber;
    become(fiber.thread);
    changeTo(fiber.place, scheduler_);
  }

  [[noreturn]] void fiberMain() {
    for (;;) {
      while (next_ < threads_ * blocks_) {
        const unsigned t = backward() ? threads_ * blocks_ - 1 - next_ : next_;
        next_++;
        become(t);
        (*thread_)();
        if (!copiesAreDone(t) || !hopperWorkIsDone()) {
          std::fprintf(stderr, "a thread of a kernel returned without waiting for its copies\n");
          std::abort();
        }
        Warp& warp = warpOf(t);
        warp.live &= ~(1u << t % threads_ % kWarp);
        for (Barrier* barrier : {&warp.barrier, &whole(), &all_}) {
          barrier->live--;
          barrier->arriveOrLeave();
        }
      }
      changeTo(scheduler_, current_->place);
    }
  }

  unsigned threads_ = 0, blocks_ = 1, next_ = 0, warpsOfBlock_ = 0;
  uint3 firstBlock_{};
  const std::function<void()>* thread_ = nullptr;
  Barrier all_;
  std::vector<Barrier> whole_, numbered_;
  std::vector<Warp> warps_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  Fiber* current_ = nullptr;
  Place scheduler_;
};

}  // namespace

Shown show(uint64_t value) {
  Cluster& cluster = Cluster::instance();
  Warp& warp = cluster.warp();
  const int lane = cluster.lane();
  const auto set = static_cast<size_t>(warp.barrier.opened % 2);
  if (warp.barrier.waiting == 0) warp.present[set] = 0;
  warp.words[set][lane] = value;
  warp.present[set] |= 1u << lane;
  cluster.wait(warp.barrier);
  return {warp.words[set], warp.present[set]};
}

ShownFragments showFragments(const std::array<uint32_t, 6>& fragments) {
  Cluster& cluster = Cluster::instance();
  Warp& warp = cluster.warp();
  const auto set = static_cast<size_t>(warp.barrier.opened % 2);
  warp.fragments[set][cluster.lane()] = fragments;
  if (warp.live != 0xFFFFFFFFu) __builtin_trap();
  cluster.wait(warp.barrier);
  return {warp.fragments[set]};
}

void* dynamicShared() { return sharedMemory[Cluster::instance().block()]; }

void waitAt(Barrier& barrier) { Cluster::instance().wait(barrier); }
void waitUntilOpened(Barrier& barrier) { Cluster::instance().waitUntilOpened(barrier); }
int currentBlock() { return static_cast<int>(Cluster::instance().block()); }
unsigned currentThread() { return Cluster::instance().thread(); }
int blocksOfCluster() { return static_cast<int>(Cluster::instance().blocks()); }
Barrier& barrierOfCluster() { return Cluster::instance().all(); }
Barrier& barrierWithNumber(int id) { return Cluster::instance().numbered(id); }
char* sharedMemoryOf(int block) { return sharedMemory[block]; }

int lane() { return Cluster::instance().lane(); }

unsigned clusterOf(const cudaLaunchConfig_t& config) {
  for (unsigned i = 0; i < config.numAttrs; i++)
    if (config.attrs[i].id == cudaLaunchAttributeClusterDimension) return config.attrs[i].val.clusterDim.x;
  return 1;
}

bool isPossible(const cudaLaunchConfig_t& config, const void* kernel) {
  const dim3 grid = config.gridDim, block = config.blockDim;
  const auto allowed = allowedShared().find(kernel);
  const size_t most = allowed == allowedShared().end() ? kWithoutAsking : allowed->second;
  return block.x >= 1 && block.x <= 1024 && block.y == 1 && block.z == 1 && grid.x >= 1 && grid.y >= 1 && grid.z >= 1 &&
         grid.x <= 0x7FFFFFFF && grid.y <= 65535 && grid.z <= 65535 && config.dynamicSmemBytes <= most &&
         clusterOf(config) <= kMostBlocks && grid.x % clusterOf(config) == 0;
}

cudaError_t allowShared(const void* kernel, int bytes) {
  const std::lock_guard guard(deviceMutex());
  if (bytes < 0 || static_cast<size_t>(bytes) > mostShared()) return answer(cudaErrorInvalidValue);
  size_t& most = allowedShared()[kernel];
  most = static_cast<size_t>(bytes);
  return answer(cudaSuccess);
}

void runGrid(const cudaLaunchConfig_t& config, unsigned cluster, const std::function<void()>& thread) {
  static std::mutex& mutex = *new std::mutex;
  const std::lock_guard lock(mutex);
  const dim3 grid = config.gridDim;
  blockDim = config.blockDim;
  gridDim = grid;
  const uint64_t clusters = uint64_t{grid.x} * grid.y * grid.z / cluster;
  for (uint64_t i = 0; i < clusters; i++) {
    const uint64_t b = (backward() ? clusters - 1 - i : i) * cluster;
    const uint3 first{static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                      static_cast<unsigned>(b / grid.x / grid.y)};
    // Shared memory that nobody has written reads as NaN.
    for (unsigned r = 0; r < cluster; r++) std::memset(sharedMemory[r], 0xFF, config.dynamicSmemBytes);
    Cluster::instance().run(config.blockDim.x, cluster, first, thread);
  }
}

}  // namespace fl::emulator

void __syncthreads() { fl::emulator::Cluster::instance().wait(fl::emulator::Cluster::instance().whole()); }
