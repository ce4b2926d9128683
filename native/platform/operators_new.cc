// For macOS, built by zig: operators new and delete of our own, seen by nobody else (CMakeLists.txt
// has the setting). libc++'s, which zig links in, are weak symbols that the dynamic linker replaces
// by the system's; their std::bad_alloc is another type than the one that is caught here. On Linux
// the linker hides them (cmake/addon.map).
#if defined(FUSED_LORA_OWN_OPERATORS)
#include <cstdlib>
#include <new>

namespace {

void* allocate(size_t bytes) noexcept { return std::malloc(bytes == 0 ? 1 : bytes); }

// aligned_alloc takes no size that is not a multiple.
void* allocate(size_t bytes, std::align_val_t alignment) noexcept {
  const size_t unit = static_cast<size_t>(alignment);
  const size_t rounded = (bytes / unit + (bytes % unit != 0 || bytes == 0 ? 1 : 0)) * unit;
  return rounded < bytes ? nullptr : std::aligned_alloc(unit, rounded);
}

void* orThrow(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(size_t bytes) { return orThrow(allocate(bytes)); }
void* operator new[](size_t bytes) { return orThrow(allocate(bytes)); }
void* operator new(size_t bytes, std::align_val_t unit) { return orThrow(allocate(bytes, unit)); }
void* operator new[](size_t bytes, std::align_val_t unit) { return orThrow(allocate(bytes, unit)); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return allocate(bytes); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return allocate(bytes); }
void* operator new(size_t bytes, std::align_val_t unit, const std::nothrow_t&) noexcept {
  return allocate(bytes, unit);
}
void* operator new[](size_t bytes, std::align_val_t unit, const std::nothrow_t&) noexcept {
  return allocate(bytes, unit);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
#endif
