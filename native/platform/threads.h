// Threads as the system has them: with a stack of a size that is ours to choose, and kept on some
// of the CPUs. What they do: runtime/thread_pool.h; why they are kept off a CPU:
// runtime/placement.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace fl::platform {

/// musl gives a thread 128 KiB, macOS 512 KiB, glibc 8 MiB: the same everywhere here.
inline constexpr size_t kStackBytes = size_t{2} << 20;

/// A set of CPUs, by their numbers: Linux's cpu_set_t.
struct CpuSet {
  static constexpr int kMost = 1024;
  uint64_t words[kMost / 64] = {};

  int count() const;
  void remove(int cpu) { words[cpu / 64] &= ~(uint64_t{1} << cpu % 64); }
};

/// A running thread; the destructor waits for its end.
class Thread {
 public:
  /// Throws std::system_error where the system allows no more threads. What `body` throws ends the
  /// process.
  explicit Thread(std::function<void()> body);
  ~Thread() { join(); }
  Thread(Thread&& other) noexcept : handle_(other.handle_), joinable_(other.joinable_) { other.joinable_ = false; }
  Thread& operator=(Thread&&) = delete;

  void join();
  /// The CPUs that it may run on; false where the system does not tell.
  bool cpus(CpuSet& out) const;
  /// False where the system does not do that.
  bool setCpus(const CpuSet& set) const;

 private:
  uintptr_t handle_;
  bool joinable_ = true;
};

/// The CPUs that the calling thread may run on; false where the system does not tell.
bool ownCpus(CpuSet& out);

/// No effect where the system does not do that.
void setOwnCpus(const CpuSet& set);

/// The CPU that the calling thread runs on; -1: not known.
int currentCpu();

/// How many threads this process can run at once: CPUs that it may use. At least 1.
int usableCpus();

}  // namespace fl::platform
