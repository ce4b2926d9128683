// Blocks one after the other; a block's threads on fibers. A fiber runs thread after thread until one has to wait at a
// barrier, and only then another fiber begins: kernels without barriers never change fibers.
//
// FUSED_LORA_EMULATOR_ORDER=backward takes threads and blocks from the last to the first: a result that depends on it
// shows a missing barrier.
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

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace fl::emulator {
namespace {

constexpr int kWarp = 32;
/// What every kernel may have, and what one that asks may: on an sm_86, which has the least of those supported.
constexpr size_t kWithoutAsking = size_t{48} << 10, kMostShared = size_t{99} << 10;
alignas(16) char sharedMemory[kMostShared];

/// By kernel, of those that asked.
std::map<const void*, size_t>& allowedShared() {
  static auto& all = *new std::map<const void*, size_t>;
  return all;
}
constexpr size_t kStack = size_t{256} << 10;

/// A barrier of a group: how many of its threads have not returned, how many wait, and how often it opened.
struct Barrier {
  int live = 0, waiting = 0;
  uint64_t opened = 0;

  /// Opens when everybody is there.
  void arriveOrLeave() {
    if (live == 0 || waiting < live) return;
    waiting = 0;
    opened++;
  }
};

struct Warp {
  Barrier barrier;
  // Two sets, since a lane may show its next word before the others have read the last.
  uint64_t words[2][kWarp];
  unsigned present[2] = {0, 0};
  std::array<uint32_t, 6> fragments[2][kWarp];
  unsigned live = 0;
};

/// Where an execution goes on. swapcontext saves the signal mask with a system call, _setjmp does not: contexts only
/// begin fibers.
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

/// The block that runs.
class Block {
 public:
  void run(unsigned threads, const std::function<void()>& thread) {
    threads_ = threads;
    thread_ = &thread;
    next_ = 0;
    whole_ = Barrier{};
    whole_.live = static_cast<int>(threads);
    warps_.assign((threads + kWarp - 1) / kWarp, Warp{});
    for (unsigned t = 0; t < threads; t++) {
      warps_[t / kWarp].barrier.live++;
      warps_[t / kWarp].live |= 1u << t % kWarp;
    }
    for (size_t i = 0; whole_.live > 0; i = 0) {
      bool progress = false;
      for (; i < fibers_.size(); i++) {
        Fiber& fiber = *fibers_[i];
        if (fiber.barrier == nullptr || fiber.barrier->opened == fiber.opened) continue;
        fiber.barrier = nullptr;
        resume(fiber);
        progress = true;
      }
      if (next_ < threads_) {
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
    Fiber& fiber = *current_;
    const uint64_t before = barrier.opened;
    barrier.waiting++;
    barrier.arriveOrLeave();
    if (barrier.opened != before) return;
    fiber.barrier = &barrier;
    fiber.opened = before;
    changeTo(scheduler_, fiber.place);
  }

  Barrier& whole() { return whole_; }
  Warp& warp() { return warps_[current_->thread / kWarp]; }
  int lane() const { return static_cast<int>(current_->thread % kWarp); }

  static Block& instance() {
    static Block& block = *new Block;
    return block;
  }

 private:
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

  void resume(Fiber& fiber) {
    current_ = &fiber;
    threadIdx.x = fiber.thread;
    changeTo(fiber.place, scheduler_);
  }

  [[noreturn]] void fiberMain() {
    for (;;) {
      while (next_ < threads_) {
        const unsigned t = backward() ? threads_ - 1 - next_ : next_;
        next_++;
        current_->thread = t;
        threadIdx.x = t;
        (*thread_)();
        if (!copiesAreDone(t)) {
          std::fprintf(stderr, "a thread of a kernel returned without waiting for its copies\n");
          std::abort();
        }
        Warp& warp = warps_[t / kWarp];
        warp.live &= ~(1u << t % kWarp);
        for (Barrier* barrier : {&warp.barrier, &whole_}) {
          barrier->live--;
          barrier->arriveOrLeave();
        }
      }
      changeTo(scheduler_, current_->place);
    }
  }

  unsigned threads_ = 0, next_ = 0;
  const std::function<void()>* thread_ = nullptr;
  Barrier whole_;
  std::vector<Warp> warps_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  Fiber* current_ = nullptr;
  Place scheduler_;
};

}  // namespace

Shown show(uint64_t value) {
  Block& block = Block::instance();
  Warp& warp = block.warp();
  const int lane = block.lane();
  const auto set = static_cast<size_t>(warp.barrier.opened % 2);
  if (warp.barrier.waiting == 0) warp.present[set] = 0;
  warp.words[set][lane] = value;
  warp.present[set] |= 1u << lane;
  block.wait(warp.barrier);
  return {warp.words[set], warp.present[set]};
}

ShownFragments showFragments(const std::array<uint32_t, 6>& fragments) {
  Block& block = Block::instance();
  Warp& warp = block.warp();
  const auto set = static_cast<size_t>(warp.barrier.opened % 2);
  warp.fragments[set][block.lane()] = fragments;
  if (warp.live != 0xFFFFFFFFu) __builtin_trap();
  block.wait(warp.barrier);
  return {warp.fragments[set]};
}

void* dynamicShared() { return sharedMemory; }

int lane() { return Block::instance().lane(); }

bool isPossible(const cudaLaunchConfig_t& config, const void* kernel) {
  const dim3 grid = config.gridDim, block = config.blockDim;
  const auto allowed = allowedShared().find(kernel);
  const size_t most = allowed == allowedShared().end() ? kWithoutAsking : allowed->second;
  return block.x >= 1 && block.x <= 1024 && block.y == 1 && block.z == 1 && grid.x >= 1 && grid.y >= 1 && grid.z >= 1 &&
         grid.x <= 0x7FFFFFFF && grid.y <= 65535 && grid.z <= 65535 && config.dynamicSmemBytes <= most;
}

cudaError_t allowShared(const void* kernel, int bytes) {
  const std::lock_guard guard(deviceMutex());
  if (bytes < 0 || static_cast<size_t>(bytes) > kMostShared) return answer(cudaErrorInvalidValue);
  size_t& most = allowedShared()[kernel];
  most = static_cast<size_t>(bytes);
  return answer(cudaSuccess);
}

void runGrid(const cudaLaunchConfig_t& config, const std::function<void()>& thread) {
  static std::mutex& mutex = *new std::mutex;
  const std::lock_guard lock(mutex);
  const dim3 grid = config.gridDim;
  const unsigned threads = config.blockDim.x;
  blockDim = config.blockDim;
  gridDim = grid;
  const uint64_t blocks = uint64_t{grid.x} * grid.y * grid.z;
  for (uint64_t i = 0; i < blocks; i++) {
    const uint64_t b = backward() ? blocks - 1 - i : i;
    blockIdx = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                static_cast<unsigned>(b / grid.x / grid.y)};
    std::memset(sharedMemory, 0xFF, config.dynamicSmemBytes);  // reads as NaN
    Block::instance().run(threads, thread);
  }
}

}  // namespace fl::emulator

void __syncthreads() { fl::emulator::Block::instance().wait(fl::emulator::Block::instance().whole()); }
