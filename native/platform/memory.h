// Memory that begins at a multiple of a cache line, as vectors and DMA like it: the one call of it
// that every system spells in its own way. Who owns it: runtime/memory.h.
#pragma once

#include <cstddef>

namespace fl::platform {

/// `bytes`, a multiple of 64 and not zero, beginning at a multiple of 64; nullptr: there is no
/// more.
void* alignedAllocate(size_t bytes);

/// Of alignedAllocate; nullptr does nothing.
void alignedFree(void* memory);

/// Gives the pages of freed memory back to the system where the allocator would keep them: glibc
/// does, since a block that begins at a multiple of 64 does not fit the hole that its like left.
void returnFreedPages();

}  // namespace fl::platform
