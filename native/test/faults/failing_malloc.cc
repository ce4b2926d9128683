// A library to be preloaded: of the allocations that one part of a process's code asks of libc, one
// gets no memory. Which one, from which code, and how many there were are numbers in the file that
// FUSED_LORA_ALLOCATIONS_FILE names, shared with the process.
// Who sets them: test/native/out_of_memory.cjs.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace {

struct Shared {
  /// The allocation that fails, counted from 1.
  std::atomic<uint64_t> failing;
  /// How many there were.
  std::atomic<uint64_t> count;
  /// The addresses of the code that is meant.
  std::atomic<uint64_t> begin, end;
};

Shared* shared() {
  static Shared own{};
  static Shared* const found = [] {
    const char* const name = getenv("FUSED_LORA_ALLOCATIONS_FILE");
    const int file = name ? open(name, O_RDWR) : -1;
    void* const memory =
        file < 0 ? MAP_FAILED : mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file >= 0) close(file);
    return memory == MAP_FAILED ? &own : static_cast<Shared*>(memory);
  }();
  return found;
}

bool fails(const void* caller) {
  const auto address = reinterpret_cast<uintptr_t>(caller);
  Shared& numbers = *shared();
  if (address < numbers.begin || address >= numbers.end) return false;
  if (numbers.count.fetch_add(1) + 1 != numbers.failing) return false;
  errno = ENOMEM;
  return true;
}

}  // namespace

extern "C" void* __libc_malloc(size_t);
extern "C" void* __libc_memalign(size_t, size_t);

extern "C" __attribute__((visibility("default"))) void* malloc(size_t bytes) {
  return fails(__builtin_return_address(0)) ? nullptr : __libc_malloc(bytes);
}

extern "C" __attribute__((visibility("default"))) void* aligned_alloc(size_t alignment, size_t bytes) {
  return fails(__builtin_return_address(0)) ? nullptr : __libc_memalign(alignment, bytes);
}
