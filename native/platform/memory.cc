// C11's aligned_alloc, which Windows does not have: its free() takes no such memory.
// The promises: platform/memory.h.
#include "platform/memory.h"

#include <cstdlib>
#if defined(_WIN32) || defined(__GLIBC__)
#include <malloc.h>
#endif

namespace fl::platform {

#if defined(_WIN32)
void* alignedAllocate(size_t bytes) { return _aligned_malloc(bytes, 64); }
void alignedFree(void* memory) { _aligned_free(memory); }
#else
void* alignedAllocate(size_t bytes) { return std::aligned_alloc(64, bytes); }
void alignedFree(void* memory) { std::free(memory); }
#endif

void returnFreedPages() {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

}  // namespace fl::platform
